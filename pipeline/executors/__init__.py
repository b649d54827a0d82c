"""Executors: run tasks on worker processes and yield finished segments."""
