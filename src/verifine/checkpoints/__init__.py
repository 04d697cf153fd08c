"""Checkpoints: directories that are complete, proven and durable, or not there."""
