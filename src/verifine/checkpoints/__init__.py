"""Checkpoints: directories that are complete, verified and durable, or do not exist."""
