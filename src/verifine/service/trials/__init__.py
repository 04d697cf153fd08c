"""Graders that are tried before a job is made with them."""
