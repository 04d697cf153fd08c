"""The card of a trained model: `README.md`, as the Hugging Face hub shows it."""
