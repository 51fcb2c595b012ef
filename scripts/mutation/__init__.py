"""Mutation testing: the sites of the changes, one build for all of them, the
trials, and the record."""
