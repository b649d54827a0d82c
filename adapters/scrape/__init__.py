"""Spiders walk a public archive's listings and name its documents; Scrapy lives here, in its own process."""
