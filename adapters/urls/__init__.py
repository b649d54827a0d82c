"""The `urls` adapter: lists of URLs, fetched within the limits of their hosts."""
