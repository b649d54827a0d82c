"""HTTP: fetches URLs within the limits of their hosts, and only from public addresses."""
