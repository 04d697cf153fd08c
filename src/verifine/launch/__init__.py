"""Starting, checking and evaluating runs: what the command line, Python programs and child processes call."""
