"""Strangers' questions must not displace the answers that clients ask for.

Random names at a steady rate, of which the clusters have all or none; a cluster
falls silent when the flood is over. Some names are asked for every ten seconds,
which is once during the flood: a quarter into it, so that what follows could fill
the daemon's default number of entries. Others were asked for twice before it.
"""

import random

from . import client
from .bed import ZONE, all_of, bed, questions

FLOOD = 25_000
RATE = 2_500
# Of the flood's names, those before the ones that are asked for every ten seconds.
STEADY_AFTER = FLOOD // 4
HELD = 300


def flood(table):
    for kind, what in (("none", "that are not there"), ("pod", "that exist")):
        row = lambda *cells: table.add(f"flood of {FLOOD:,} names {what}", *cells)
        digits = random.Random(kind)
        strangers = [client.Question(f"{kind}-{digits.getrandbits(64):x}.{ZONE}")
                     for _ in range(FLOOD)]
        with bed() as it:
            quiet = it.learn(questions("v4-quiet", HELD), 2)
            it.learn(quiet, 2)
            steady = it.learn(questions("v4-steady", HELD), 2)
            answered, sent = client.flood(it.port, strangers, RATE, list(steady), STEADY_AFTER)
            it.silence("b")
            all_of(row, "names asked every 10 s: as before, stale",
                   it.count_as_before(steady), len(steady))
            all_of(row, "names asked twice before it: as before, stale",
                   it.count_as_before(quiet), len(quiet))
            table.record.setdefault("flood", {})[kind] = {"answered": answered, "sent": sent}


STORIES = {"flood": flood}
