"""Adapters list and read sources: one package per kind of source, and shared modules."""
