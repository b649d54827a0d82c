"""Turns the bytes of an image or a PDF document into one normalized form, with hashes."""
