"""Runs jobs: each is `verifine train` in a process that outlives the service, followed through its run directory."""
