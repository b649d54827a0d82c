"""Modules that every room may import, and that import no room: errors, durable files, tar, processes."""
