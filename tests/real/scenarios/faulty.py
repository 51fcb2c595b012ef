"""A cluster that fails in every way there is while dnsperf keeps asking: no
query is lost, the members known before stay (M6), and it heals (U5)."""

import re
import signal
import time

import ask
import relay
from bed import two
from worlds import A, B, seed
from .seed import QUESTION, WHOLE, shape

RATE = 500
SECONDS = 3
DEADLINE = 0.8
SLACK = 0.1


def load(bed, daemon, name):
    """dnsperf for a while: queries lost, codes, and the slowest answer in seconds."""
    queries = bed.dir / "queries"
    queries.write_text(QUESTION + " SRV\n")
    code, out, err = bed.run("dnsperf", "-e", "-s", daemon.host, "-p", daemon.port, "-d", queries,
                             "-l", SECONDS, "-Q", RATE, "-c", 8, "-t", 2)
    if code:
        raise RuntimeError(f"dnsperf ({name}): {err}")
    found = lambda pattern: re.search(pattern, out)[1]
    return (int(found(r"Queries lost:\s+(\d+)")), found(r"Response codes:\s+(\S+)"),
            float(found(r"max ([\d.]+)\)")))


def addresses(answer):
    return sorted(line.split()[-1] for line in answer.additional)


def examine(bed, check, daemon, name, edes, whole=True):
    lost, codes, slowest = load(bed, daemon, name)
    check.same(f"T5 {name}: no query is lost under load, all are answered NOERROR",
               (lost, codes), (0, "NOERROR"))
    check.that(f"T5 {name}: no answer is later than its deadline", slowest <= DEADLINE + SLACK,
               slowest)
    got = ask.ask(daemon, QUESTION, "SRV")
    check.same(f"M6 {name}: the members known before are there, with EDE {edes}",
               (addresses(got), [code for code, _ in got.ede]),
               (["10.8.1.2", "10.8.1.2", "10.9.1.2", "10.9.1.2"], edes))


def heals(check, daemon, name):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        began = time.monotonic()
        if shape(ask.ask(daemon, QUESTION, "SRV")) == WHOLE:
            break
        time.sleep(0.05)
    check.that(f"U5 {name}: whole again within two seconds", began < end - 8, began - end + 10)


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    with relay.Relay(b) as faulty:
        daemon = bed.gathersrv(*two(a, faulty.at))
        check.same("before: whole", shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)
        for mode, edes in ((relay.SILENT, [3]), (relay.LOSSY, []), (relay.LATE, []),
                           (relay.TRUNCATING, [3])):
            faulty.mode = mode
            examine(bed, check, daemon, f"a cluster that is {mode}", edes)
            faulty.mode = relay.WELL
            heals(check, daemon, f"a cluster that was {mode}")

    daemon = bed.gathersrv(*two(a, b))
    check.same("before: whole", shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)
    b.end(signal.SIGKILL)
    examine(bed, check, daemon, "a cluster that is killed", [3])
    bed.knot({B: seed(B, "10.9")}, port=b.port)
    heals(check, daemon, "a cluster that was killed")

    cached = bed.gathersrv(*two(a, b), "--cache", "100")
    first = ask.ask(cached, QUESTION, "SRV")
    a.end(signal.SIGKILL)
    again = ask.ask(cached, QUESTION.upper(), "SRV")
    check.same("a kept answer needs no cluster, and is in the client's spelling",
               (again.rcode, again.answer[0].split()[0], addresses(again), again.ede),
               ("NOERROR", QUESTION.upper(), addresses(first), []))
