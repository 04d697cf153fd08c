"""Why is it not learning? What stands out in a run, with the numbers it rests on and what to change.

Rules are pure functions of a `Story`; the same rules judge a run while it goes on (`live`) and afterwards (`diagnose`).
"""
