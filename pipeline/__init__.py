"""Runs a stage: plans batches, hands them to an executor, commits segments, locks, reports progress."""
