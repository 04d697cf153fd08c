"""Why is the model not learning? Findings about a run, with the numbers behind them and what to change.

Rules are pure functions of a `RunHistory`. The same rules judge a run live (`monitor`) and afterwards (`diagnose`).
"""
