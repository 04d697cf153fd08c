"""What owners see of the runs of their jobs: read from run directories, which nothing here writes to."""
