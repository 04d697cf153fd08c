"""Models that answer: each is loaded by a process of its own when it is first asked, and unloaded when it is idle."""
