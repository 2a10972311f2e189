"""Not an experiment."""
