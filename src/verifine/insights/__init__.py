"""Analysis of run directories: findings, comparison, statistics, charts and reports.

Each module is imported by its own name, because few of them need matplotlib or jinja2.
"""
