"""The run directory: what is written into it, and what can be read out of it again.

Each module is imported by its own name, for `report` and `plots` need matplotlib and nothing else here does.
"""
