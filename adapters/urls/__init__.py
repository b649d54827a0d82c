"""The `urls` adapter: reads lists of URLs and fetches the URLs within the limits of their hosts."""
