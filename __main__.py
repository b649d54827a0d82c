"""`python -m derlem` is the same as the `derlem` command."""

from .cli import main

if __name__ == "__main__":
    main()
