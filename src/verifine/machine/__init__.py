"""What the process may use of this machine: cores, threads, main memory, the disk. Free of torch."""
