"""dnsperf at full speed while 300 slow TCP clients and as many malformed
datagrams as there are queries are in the way: no query is lost (T4, T5).

Those in the way are the example `soak`, built beside the daemon: Python could
not keep pace with dnsperf."""

import json
import os
import pathlib
import re
import subprocess
import time

import ask
from bed import END_TIME, die_with_parent, two
from worlds import A, B, seed
from .seed import QUESTION, WHOLE, shape

SECONDS = 10
# What dnsperf reaches alone is found out first, in this time.
TRIAL = 2
SLOW_CLIENTS = 300
# Each of dnsperf's clients may have this many answers waiting in its socket,
# which has room for many more.
OUTSTANDING = 100
CLIENTS = 32
# The flood begins before dnsperf and ends after it.
MARGIN = 2
# Malformed datagrams for a query of the trial. Besieged, dnsperf is slower.
FLOOD = 1.1
# Both clusters have these names; one alone would be answered from one question
# in flight.
NAMES = 200
# Links to the clusters and half-closed connections; 300 lost ones are more.
SPARE_FILES = 16


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.child.pid}/fd"))


def world(suffix, net):
    names = "".join(f"web-{n}.default.svc A {net}.7.{n}\n" for n in range(NAMES))
    return seed(suffix, net) + names


def besiegers(binary):
    """The example beside the daemon; None where it was not built."""
    path = pathlib.Path(binary).parent / "examples" / "soak"
    return path if os.access(path, os.X_OK) else None


def number(pattern, text):
    return int(re.search(pattern, text)[1])


def load(bed, daemon, queries, seconds):
    """dnsperf as fast as answers come; what it says."""
    code, out, err = bed.run("dnsperf", "-e", "-s", daemon.host, "-p", daemon.port, "-d", queries,
                             "-l", seconds, "-c", CLIENTS, "-q", OUTSTANDING, "-t", 2,
                             timeout=seconds + 15)
    if code:
        raise RuntimeError("dnsperf: " + err)
    return out


def run(bed, check):
    program = besiegers(bed.binary)
    if not program:
        check.skip("siege", "the example 'soak' is not built beside the daemon: "
                   "cargo build --release --example soak")
        return
    a, b = bed.knot({A: world(A, "10.8")}), bed.knot({B: world(B, "10.9")})
    daemon = bed.gathersrv(*two(a, b))
    queries = bed.dir / "queries"
    queries.write_text(f"{QUESTION} SRV\n" + "".join(
        f"{kind}-{n}.default.svc.distributed.local. A\n"
        for n in range(NAMES) for kind in ("web", "web", "web", "none")))
    alone = load(bed, daemon, queries, TRIAL)
    rate = number(r"Queries per second:\s+(\d+)", alone)
    check.same("before the siege: no query is lost", number(r"Queries lost:\s+(\d+)", alone), 0)
    before = descriptors(daemon)

    siege = subprocess.Popen(
        [program, "besiege", daemon.at, str(SLOW_CLIENTS), str(int(rate * FLOOD)),
         str(SECONDS + MARGIN)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
    try:
        time.sleep(MARGIN / 2)
        out = load(bed, daemon, queries, SECONDS)
        told, wrong = siege.communicate(timeout=MARGIN + END_TIME)
    finally:
        siege.kill()
        siege.wait(END_TIME)
    if siege.returncode:
        raise RuntimeError("soak besiege: " + wrong)
    besieged = json.loads(told)
    sent = number(r"Queries sent:\s+(\d+)", out)
    check.same(f"T5 besieged, {sent / SECONDS:.0f} queries/s, {rate} alone: no query is lost",
               number(r"Queries lost:\s+(\d+)", out), 0)
    check.that("T5 and every one has its answer, NOERROR or NXDOMAIN",
               set(re.findall(r"(\w+) \d+ \(", out)) <= {"NOERROR", "NXDOMAIN"}, out)
    check.that("(as many malformed datagrams as queries)",
               besieged["malformed"] >= sent, (besieged, sent))
    check.that("T4 (300 slow TCP clients were there)",
               besieged["open"] >= SLOW_CLIENTS * 0.8, besieged)
    check.that("T5 the daemon runs, and says nothing of a panic",
               daemon.running() and "panick" not in daemon.said(), daemon.said()[-2000:])
    end = time.monotonic() + 5
    while descriptors(daemon) > before + SPARE_FILES and time.monotonic() < end:
        time.sleep(0.1)
    after = descriptors(daemon)
    check.that("T4 no descriptor is left over", after <= before + SPARE_FILES, (before, after))
    check.same("T4 afterwards TCP is answered, and whole",
               shape(ask.ask(daemon, QUESTION, "SRV", tcp=True)), WHOLE)
