"""Answers that depend on how several clusters' records are put together: one
truth about an alias for every type, and a fair share of what is truncated."""

from . import client, wire
from .bed import OTHER, all_of, bed, questions

ALIASES = 20
# Records are selected from the clusters in turn, so their counts differ by one;
# both clusters' names have the same length.
UNFAIR = 2


def aliases(table):
    """A CNAME in both clusters, each to a name in the cluster's own suffix. Caches
    believe a CNAME for every type, so none may be given for any (RFC 2181, 10.1)."""
    row = lambda *cells: table.add("CNAME in both clusters", *cells)
    with bed() as it:
        ask = lambda rtype: client.ask_udp(it.port, questions("alias", ALIASES, rtype))
        nodata, addresses, cname = ask(wire.AAAA), ask(wire.A), ask(wire.CNAME)
        all_of(row, "AAAA: NODATA without a CNAME", sum(map(is_nodata, nodata)), ALIASES)
        all_of(row, "A: both clusters' addresses without a CNAME", sum(map(is_flat, addresses)),
               ALIASES)
        told = sum(is_nodata(response) and OTHER in response.ede for response in cname)
        all_of(row, "CNAME: NODATA with EDE 0", told, ALIASES)
        before = {}
        for rtype, good, responses in (wire.AAAA, is_nodata, nodata), (wire.A, is_flat, addresses):
            for question, response in zip(questions("alias", ALIASES, rtype), responses):
                if good(response):
                    before[question] = response.content()
        it.silence("b")
        all_of(row, "AAAA and A, one cluster silent: as before, stale",
               it.count_as_before(before), 2 * ALIASES)


def is_nodata(response):
    return bool(response) and response.rcode == wire.NOERROR and not response.answer


def is_flat(response):
    """Two addresses and nothing else."""
    return bool(response) and len(response.answer) == len(set(response.values(wire.A))) == 2


def truncation(table):
    """More records than fit: over UDP, and over TCP."""
    row = lambda *cells: table.add("SRV records of two clusters, more than fit", *cells)
    with bed() as it:
        [response] = client.ask_udp(it.port, questions("many120", 1, wire.SRV))
        a, b = shares(response)
        truncated = bool(response) and response.truncated
        row("120 each over UDP", f"{a} of a, {b} of b, TC={int(truncated)}",
            truncated and min(a, b) > 0 and abs(a - b) <= UNFAIR, "equal shares, TC=1")
        [response] = client.ask_tcp(it.port, questions("many1000", 1, wire.SRV))
        a, b = shares(response)
        told = sorted(response.ede) if response else []
        row("1,000 each over TCP", f"{a} of a, {b} of b, EDE {told}",
            min(a, b) > 0 and abs(a - b) <= UNFAIR and OTHER in told, "equal shares, EDE 0")


def shares(response):
    """How many SRV records of each cluster there are."""
    targets = response.values(wire.SRV) if response else []
    return [sum(target.startswith(prefix) for target in targets) for prefix in ("a-", "b-")]


STORIES = {"aliases": aliases, "truncation": truncation}
