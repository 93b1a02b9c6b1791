"""A classic threaded market maker."""
