"""Comparing runs: what differs between them, and which is better.

Runs that differ only in their seed are one *variant*. Everything from run records to numbers is pure functions, cheap
to import; `plot` needs matplotlib and `page` needs jinja2.
"""
