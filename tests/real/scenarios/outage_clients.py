"""The promise of section K as programs see it: web servers, C libraries, the
JVM, Node and Go, which ask for both families and fail if one is SERVFAIL.

They read /etc/resolv.conf and know port 53 only, so all of it runs in
namespaces: see `programs.py`."""

import outages

SECONDS = 150


def run(bed, check):
    outages.in_namespaces(bed, check, "programs.py", "programs during an outage", SECONDS)
