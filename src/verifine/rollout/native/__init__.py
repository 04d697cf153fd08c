"""Verifine's own rollout engine: it samples from the weights that the learner trains."""
