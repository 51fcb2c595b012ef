"""Mutation testing: where the program can be changed, the build that carries
many changes at once, and the tests that have to notice each of them."""
