"""Queries in the name of neighbours that do not exist, on a link of their own:
see `link.py`, which runs inside a network namespace."""

from .glibc import run_inside


def run(bed, check):
    run_inside(bed, check, "link.py", "a link with neighbours", 90)
