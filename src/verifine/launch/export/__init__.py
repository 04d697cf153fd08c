"""Handing a trained model on: to other programs, other people, and the Hugging Face hub."""
