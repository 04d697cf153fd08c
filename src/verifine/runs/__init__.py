"""The run directory: what training writes into it, and how it is read back."""
