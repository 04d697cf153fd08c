"""What is found out about a job before it is made: its rows as the model reads them, trial answers, what is decided."""
