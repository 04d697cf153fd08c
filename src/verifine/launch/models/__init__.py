"""What can be known of a model before it is loaded."""
