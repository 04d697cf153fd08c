"""What this machine lets the process have: cores, threads made of them, and main memory. Free of torch."""
