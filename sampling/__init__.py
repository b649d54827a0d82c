"""Category tree, quotas, allocation, draw, manifest."""
