"""The `archive` adapter: reads archives with bounded memory and time, even if their headers are false.

No module of this package writes to disk, so a member's name never becomes a path.
"""
