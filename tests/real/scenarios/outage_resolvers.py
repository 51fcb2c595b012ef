"""The promise of section K holds for clients behind other resolvers, which
remember what was said for another type (K8), minimise names, and take a
SERVFAIL for the end of a server.

BIND's static-stub zones know port 53 only, so all of it runs in namespaces:
see `behind.py`."""

import outages

SECONDS = 150


def run(bed, check):
    outages.in_namespaces(bed, check, "behind.py", "resolvers in front during an outage", SECONDS)
