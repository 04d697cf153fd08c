"""What jobs leave behind, and every model that a request may name."""
