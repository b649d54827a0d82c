"""Runs tasks on worker processes and yields complete segments."""
