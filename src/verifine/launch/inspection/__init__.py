"""What is found out about a run before it begins, by a process of its own that may be killed."""
