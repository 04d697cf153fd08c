"""What asks a service from elsewhere: `verifine jobs` is made of it. It needs no database."""
