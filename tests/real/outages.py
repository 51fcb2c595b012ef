"""What the scenarios of outages share: two clusters, the questions that are
asked while both are there, and whether an answer is as it was then.

An answer is as before if its rcode, its flags and the records of all sections
are, in their order. TTLs are not compared: those of an answer with something
stale in it are capped (M6), and that of the SOA record with them (K1).
"""

import itertools
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import ask
from bed import two, zone_text
from checks import until
from scenarios.glibc import enter
from worlds import A, B, Z

S = "default.svc." + Z
SRV = "_mongodb._tcp.mongo." + S
CAP = 5

HERE = pathlib.Path(__file__).parent

# In namespaces: the clusters' servers, and the daemon.
AT_A, AT_B, AT_OURS = "10.8.0.1", "10.9.0.1", "10.96.0.53"

# Seconds until every worker knows what one of them has learned, with a margin.
SHARED = 1.5

# Seconds until a daemon says that a cluster is missing.
NOTICED = 15

EXTRA_A = """\
b-thing.default.svc A 10.8.8.1
only-a.default.svc CNAME web.default.svc
mixed.default.svc CNAME web.default.svc
"""
EXTRA_B = """\
mixed.default.svc A 10.9.5.3
a-thing.default.svc A 10.9.8.1
only-b.default.svc A 10.9.9.1
pod.under.apps.svc A 10.9.9.2
"""

# Both families, and what programs of today ask beside them.
KINDS = ("A", "AAAA", "HTTPS", "SRV", "TXT", "NS")


def zone_a(ttl=30, extra=""):
    return zone_text("outage", suffix=A, net="10.8", ttl=ttl, extra=EXTRA_A + extra)


def zone_b(ttl=30, extra=""):
    return zone_text("outage", suffix=B, net="10.9", ttl=ttl, extra=EXTRA_B + extra)


def every_kind(*names):
    return [(name, kind) for name in names for kind in KINDS]


def plain(line):
    """A record without its TTL, and an SOA record without its last field."""
    owner, _, kind, data = line.split(None, 3)
    return f"{owner} {kind} {data.rsplit(None, 1)[0] if kind == 'SOA' else data}"


def shape(answer):
    """What has to be as before."""
    flags = [flag for flag in ("aa", "tc", "ra") if flag in answer.flags]
    sections = (answer.answer, answer.authority, answer.additional)
    return (answer.rcode, flags, *([plain(line) for line in section] for section in sections))


def codes(answer):
    return [code for code, _ in answer.ede]


def capped(answer):
    """Whether no TTL is above the cap, nor an SOA record's last field."""
    for line in answer.answer + answer.authority + answer.additional:
        _, ttl, kind, data = line.split(None, 3)
        if int(ttl) > CAP or kind == "SOA" and int(data.rsplit(None, 1)[1]) > CAP:
            return False
    return True


def said(answer):
    """What is remembered of an answer: its shape, and its EDE codes."""
    return (*shape(answer), codes(answer))


def same(before, answer):
    """Whether an answer is as the one remembered, whatever its EDE."""
    return shape(answer) == before[:-1]


def differs(before, answer, stale=True):
    """What is not as before, in words; nothing if all is.

    `stale` is whether cluster b has a part in the answer."""
    if not same(before, answer):
        return f"was {before}, is {answer}"
    wanted = before[-1] + ([] if not stale else [19 if answer.rcode == "NXDOMAIN" else 3])
    if sorted(codes(answer)) != sorted(wanted):
        return f"as before, but its EDE is {answer.ede} in place of {wanted}"
    if stale and not capped(answer):
        return f"as before, but not capped: {answer}"
    return ""


def remember(daemon, questions):
    """Asks each question once, over UDP; what was said, by question."""
    return {(name, kind): said(ask.ask(daemon, name, kind)) for name, kind in questions}


def report(check, what, found, total):
    """One check for many questions: the first that differ are told."""
    told = "\n".join(f"{name} {kind}: {why}" for (name, kind), why in found[:4])
    check.that(f"{what}: {total} of {total}", not found,
               f"{total - len(found)} of {total}; of those that are not as before:\n{told}")


def kill(cluster, *daemons):
    """Ends a cluster's DNS, and returns when every daemon says so."""
    time.sleep(SHARED)
    cluster.end(signal.SIGKILL)
    for daemon in daemons:
        notices(daemon)


def notices(daemon):
    """Asks until the daemon says that a cluster is missing; each time for another
    name, so that no answer is a cached one."""
    numbers = itertools.count()

    def true():
        ask.ask(daemon, f"notice-{next(numbers)}.flood." + S, "A")
        return "is missing" in daemon.said()

    if not until(true, NOTICED):
        raise RuntimeError("the daemon does not notice: " + daemon.said()[-2000:])


def in_namespaces(bed, check, script, what, seconds):
    """Runs a program of the tests in network and mount namespaces of its own,
    and takes its checks over. They end with it; the machine never saw them."""
    words, why = enter(bed)
    if words is None:
        check.skip(what, "no namespaces: " + why)
        return
    # Its files are in our directory, which goes with us even if it is killed.
    code, out, told = bed.run(*words, sys.executable, HERE / script, bed.binary, timeout=seconds,
                              env={**os.environ, "TMPDIR": str(bed.dir)})
    counts = re.search(r"^(\d+) passed, (\d+) failed, not run: (.*)\n\Z", out, re.M)
    print(out[:counts.start()] if counts else out, end="", flush=True)
    if counts is None:
        check.fail(f"{what} go on to their end", f"exit code {code}\n{told}")
        return
    check.passed += int(counts[1])
    check.failed += int(counts[2])
    check.not_run += [name for name in counts[3].split("; ") if name]


def prepare(*addresses):
    """Inside: loopback, with these addresses on it."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)
    for address in addresses:
        subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True, timeout=10)


def clusters(bed, ttl, **more):
    """Inside: both clusters' servers and the daemon, at addresses as they are
    in a data centre."""
    a = bed.knot({A: zone_a(ttl, **more)}, host=AT_A, port=53)
    b = bed.knot({B: zone_b(ttl, **more)}, host=AT_B, port=53)
    return a, b, bed.gathersrv(*two(AT_A, AT_B), listen=[AT_OURS + ":53"])
