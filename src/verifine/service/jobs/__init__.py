"""Jobs: their states, who works on them, and what happened to them."""
