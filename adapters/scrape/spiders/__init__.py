"""Spiders: one module per kind of archive, and shared parsing. Only the crawl process imports spiders."""
