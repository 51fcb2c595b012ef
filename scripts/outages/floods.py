"""Strangers' questions must not displace the answers that clients ask for.

Random names at a steady rate, of which the clusters have all or none; a cluster
falls silent when the flood is over. Three kinds of names are asked for beside it:

  - every ten seconds, which is once during the flood: a quarter into it, so that
    what follows could fill the daemon's default number of entries;
  - twice before it, and not during it;
  - all the time, with TTLs that outlast the flood, so that the answer cache gives
    the answers and no cluster is asked again.
"""

import random
import time

from . import client
from .bed import ZONE, all_of, bed, questions
from .cluster import LONG_TTL_SECONDS

FLOOD = 25_000
RATE = 2_500
# How many of the flood's names come before those of every ten seconds, and between
# two turns of those that are asked for all the time (half a second).
STEADY_AFTER = FLOOD // 4
CONSTANT_EACH = RATE // 2
HELD = 300


def flood(table):
    for kind, what in (("none", "that are not there"), ("pod", "that exist")):
        row = lambda *cells: table.add(f"flood of {FLOOD:,} names {what}", *cells)
        digits = random.Random(kind)
        strangers = [client.Question(f"{kind}-{digits.getrandbits(64):x}.{ZONE}")
                     for _ in range(FLOOD)]
        with bed() as it:
            twice = it.learn(questions("v4-twice", HELD), 2)
            it.learn(twice, 2)
            steady = it.learn(questions("v4-steady", HELD), 2)
            constant = it.learn(questions("long", HELD), 2)
            expired = time.monotonic() + LONG_TTL_SECONDS + 1
            beside = [(n, list(constant)) for n in range(0, FLOOD, CONSTANT_EACH)]
            beside.append((STEADY_AFTER, list(steady)))
            answered, sent = client.flood(it.port, strangers, RATE, beside)
            table.record.setdefault("flood", {})[kind] = {"answered": answered, "sent": sent}
            it.silence("b")
            all_of(row, "names asked every 10 s: as before, stale",
                   it.count_as_before(steady), len(steady))
            all_of(row, "names asked twice before it: as before, stale",
                   it.count_as_before(twice), len(twice))
            time.sleep(max(expired - time.monotonic(), 0))
            all_of(row, "names asked all the time, given from the cache: as before, stale",
                   it.count_as_before(constant), len(constant))


STORIES = {"flood": flood}
