"""Polite HTTP: fetches URLs fast, within what their hosts allow, and never from inside our own network."""
