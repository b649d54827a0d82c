"""The typed configuration: it assembles the options of all rooms, so it can live in none of them."""
