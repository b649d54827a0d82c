"""Spiders: one module per kind of archive, and what they share. Imported by the crawl process alone."""
