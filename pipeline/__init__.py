"""Runs the inbound stages: lists sources, plans tasks, runs executors, commits segments, holds the lock."""
