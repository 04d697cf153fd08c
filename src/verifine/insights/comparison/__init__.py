"""Runs held against each other: what differs between them, and which is better.

Runs that differ in nothing but their seed are one *variant*. From run records to numbers everything is pure functions,
cheap to import; `plot` needs matplotlib and `page` needs jinja2.
"""
