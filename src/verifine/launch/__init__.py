"""Starting, checking and evaluating runs: the functions for the command line, Python programs and child processes."""
