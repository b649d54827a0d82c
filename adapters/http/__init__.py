"""The HTTP fetcher: downloads URLs from public addresses, within the limits of hosts."""
