"""The run directory: what is written into it, and what can be read out of it again.

Each module is imported by its own name, for few of them need matplotlib or jinja2.
"""
