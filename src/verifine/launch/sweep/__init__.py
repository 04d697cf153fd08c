"""A sweep: every combination of some settings, trained one run after the other in processes of their own. No torch."""
