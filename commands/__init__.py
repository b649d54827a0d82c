"""Defines the commands: each parses its arguments, calls one method of `Project` and renders the result."""
