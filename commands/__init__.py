"""What each command does across the rooms, and how its rows are shown; `cli.py` only names them."""
