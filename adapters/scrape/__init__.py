"""The `scrape` adapter: spiders list the documents of public archives. Scrapy runs in its own process."""
