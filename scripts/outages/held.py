"""Questions of every kind, asked before a cluster fell silent and again after."""

import time

from . import client, wire
from .bed import STALE, STALE_NXDOMAIN, all_of, bed, names, questions

QUERY_LIMIT = 100
# Enough to take every worker's share of the places.
FILLING = 4 * QUERY_LIMIT


def negatives(table):
    """Names without the type, and names that are not there."""
    row = lambda *cells: table.add("negatives, one cluster of two silent", *cells)
    with bed() as it:
        nodata = it.learn(questions("v4", 50, wire.AAAA) + questions("v4", 50, wire.HTTPS), 0)
        nxdomain = it.learn(questions("none", 50), 0, wire.NXDOMAIN)
        it.silence("b")
        all_of(row, "AAAA and HTTPS of IPv4-only names: NODATA, stale",
               it.count_as_before(nodata), len(nodata))
        all_of(row, "names that both clusters denied: NXDOMAIN, stale",
               it.count_as_before(nxdomain, STALE_NXDOMAIN), len(nxdomain))
        over_tcp = it.count_as_before(nodata, ask=client.ask_tcp) \
            + it.count_as_before(nxdomain, STALE_NXDOMAIN, ask=client.ask_tcp)
        all_of(row, "all of them over TCP: the same", over_tcp, len(nodata) + len(nxdomain))


def targets(table):
    """Clients ask for an SRV record, then for the addresses of its targets."""
    row = lambda *cells: table.add("SRV and its targets, one cluster of two silent", *cells)
    with bed() as it:
        services = [client.Question(f"_demo._tcp.{name}", wire.SRV) for name in names("srv", 20)]
        learned = it.learn(services, 4)
        it.silence("b")
        all_of(row, "SRV records: as before, stale", it.count_as_before(learned), len(learned))
        asked = sorted({record.value for _, records in learned.values() for record in records
                        if record.value.startswith("b-")})
        responses = client.ask_udp(it.port, [client.Question(target) for target in asked])
        found = 0
        for target, response in zip(asked, responses):
            address = it.clusters["b"].address(target.removeprefix("b-"))
            record = wire.Record(target, wire.A, wire.dotted(address))
            found += bool(response) and response.answer == [record] and STALE in response.ede
        all_of(row, "addresses of targets, never asked: stale", found, len(asked))


def prefixed(table):
    """A service whose name begins with the prefix of the cluster that is silent."""
    row = lambda *cells: table.add("services called a-thing, cluster a silent", *cells)
    with bed() as it:
        learned = it.learn(questions("a-thing", 20), 2)
        it.silence("a")
        for turn in ("as before, stale", "asked once more: as before, stale"):
            all_of(row, turn, it.count_as_before(learned), len(learned))


def transports(table):
    """Asked over UDP before the outage, and over TCP during it."""
    row = lambda *cells: table.add("TCP, one cluster of two silent", *cells)
    for workers in (2, 4, 8):
        with bed("--workers", str(workers)) as it:
            learned = it.learn(questions("v4", 200), 2)
            large = {}
            if workers == 4:
                # Each reply of a cluster is truncated, and so is the daemon's.
                asked = questions("many120", 10, wire.SRV)
                large = it.learn(asked, 240, ask=client.ask_as_stubs)
            it.silence("b")
            all_of(row, f"asked over UDP before, {workers} workers: as before, stale",
                   it.count_as_before(learned, ask=client.ask_tcp), len(learned))
            if large:
                all_of(row, "120 SRV records a cluster, UDP, then TCP: as before, stale",
                       it.count_as_before(large, ask=client.ask_as_stubs), len(large))


def checking_disabled(table):
    """Validating resolvers set CD, stub resolvers do not."""
    row = lambda *cells: table.add("CD=1, one cluster of two silent", *cells)
    with bed() as it:
        learned = it.learn(questions("v4", 50), 2)
        it.silence("b")
        all_of(row, "asked with CD=0 before: as before, stale",
               it.count_as_before(learned, cd=True), len(learned))


def query_limit(table):
    """Queries that wait for silent clusters take every place that there is. Without
    `--max-fails 0` they would not wait for long."""
    row = lambda *cells: table.add("--max-queries full, both clusters silent", *cells)
    with bed("--max-queries", str(QUERY_LIMIT), "--max-fails", "0") as it:
        learned = it.learn(questions("v4", 50), 2)
        it.silence("a", "b")
        with client.connect_udp(it.port) as opened:
            client.send_all(opened, questions("pod", FILLING))
            time.sleep(0.1)
            held = it.count_as_before(learned)
            opened.setblocking(False)
            refused = client.drain(opened)
        row("queries above the limit", f"{refused} of {FILLING} refused", refused > 0,
            "refused at once")
        all_of(row, "held names: as before, stale", held, len(learned))


STORIES = {"negatives": negatives, "targets": targets, "prefixed": prefixed,
           "transports": transports, "checking-disabled": checking_disabled,
           "query-limit": query_limit}
