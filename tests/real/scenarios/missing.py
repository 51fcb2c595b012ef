"""Clusters that are down, late or unwilling: rules M5, M6 and U3."""

import signal
import time

import ask
from bed import two
from worlds import A, B, Z, seed
from .seed import ADDITIONAL, ANSWER, QUESTION, WHOLE, shape

POLICY = ("--on-missing", "partial")


def capped(lines):
    """Cluster a's records, with the TTL of an incomplete answer."""
    return [line.replace(" 30 ", " 5 ") for line in lines[:2]]


def expect_partial(check, name, daemon, tcp=False):
    got = ask.ask(daemon, QUESTION, "SRV", tcp=tcp)
    check.same(f"M6 {name}: what is left, TTLs cut to 5, EDE 23",
               (got.rcode, got.answer, got.additional, [code for code, _ in got.ede]),
               ("NOERROR", capped(ANSWER), capped(ADDITIONAL), [23]))
    check.that(f"M6 {name}: the EDE names the cluster, and it alone",
               len(got.ede) == 1 and B in got.ede[0][1] and A not in got.ede[0][1], got.ede)


def expect_failure(check, name, daemon, code, clusters, question=QUESTION, kind="SRV"):
    got = ask.ask(daemon, question, kind)
    check.same(f"{name}: SERVFAIL with EDE {code}",
               (got.rcode, got.answer, got.additional, [code for code, _ in got.ede]),
               ("SERVFAIL", [], [], [code]))
    check.that(f"{name}: the EDE names {' and '.join(clusters)}",
               got.ede and all(cluster in got.ede[0][1] for cluster in clusters), got.ede)


def run(bed, check):
    zone_b = seed(B, "10.9")
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: zone_b})
    partial = bed.gathersrv(*two(a, b), *POLICY)
    default = bed.gathersrv(*two(a, b), "--keep", "0")
    fail = bed.gathersrv(*two(a, b), "--on-missing", "fail")
    both = bed.gathersrv(*two(a, b), *POLICY, "--min-clusters", "2")
    for daemon in (partial, fail, both):
        check.same("M6 nobody is missing: the whole answer, whatever the policy",
                   shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)

    b.send(signal.SIGSTOP)
    expect_partial(check, "a silent cluster", partial)
    b.send(signal.SIGCONT)
    b.end(signal.SIGKILL)
    for tcp in (False, True):
        expect_partial(check, f"a dead cluster (tcp={tcp})", partial, tcp)
    expect_partial(check, "a dead cluster, nothing held that is stale", default)
    expect_failure(check, "M6 --on-missing fail", fail, 23, [B])
    expect_failure(check, "M6 --min-clusters 2", both, 23, [B])
    expect_failure(check, "M5 a negative answer that one cluster cannot confirm", partial, 23, [B],
                   "no-such.default.svc." + Z, "A")
    name = "a-demo-service-0.default.svc." + Z
    got = ask.ask(partial, name, "A")
    check.same("Q4 M6 a prefixed name of a live cluster misses nobody",
               (got.rcode, got.answer, got.ede), ("NOERROR", [f"{name} 30 A 10.8.1.2"], []))

    revived = bed.knot({B: zone_b}, port=b.port)
    end = time.monotonic() + 40
    got = ask.ask(partial, QUESTION, "SRV")
    while shape(got) != WHOLE and time.monotonic() < end:
        time.sleep(0.5)
        got = ask.ask(partial, QUESTION, "SRV")
    check.same("U5 a cluster that is back is asked again", shape(got), WHOLE)

    refusing = bed.knot({"elsewhere.": seed("elsewhere.", "10.7")})
    expect_partial(check, "a cluster that says REFUSED", bed.gathersrv(*two(a, refusing), *POLICY))
    words = two(a, revived)
    second = [*words[:-1], f"{B} b- {bed.silent()} {revived.at}"]
    check.same("U3 a cluster's second server answers for the first",
               shape(ask.ask(bed.gathersrv(*second), QUESTION, "SRV")), WHOLE)

    revived.end(signal.SIGKILL)
    a.end(signal.SIGKILL)
    for name, daemon in (("partial", partial), ("stale", default), ("fail", fail)):
        expect_failure(check, f"M5 all clusters dead ({name})", daemon, 22, [A, B])
