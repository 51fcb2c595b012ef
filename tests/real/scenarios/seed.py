"""The project's example: what the page of the plugin shows, to the record."""

import ask
from bed import two
from worlds import A, B, seed

QUESTION = "_demo._tcp.demo-service.default.svc.distributed.local."
BASE = "default.svc.distributed.local."

ANSWER = [
    f"{QUESTION} 30 SRV 0 50 8080 a-demo-service-0.{BASE}",
    f"{QUESTION} 30 SRV 0 50 8080 a-demo-service-1.{BASE}",
    f"{QUESTION} 30 SRV 0 50 8080 b-demo-service-0.{BASE}",
    f"{QUESTION} 30 SRV 0 50 8080 b-demo-service-1.{BASE}",
]
ADDITIONAL = [
    f"a-demo-service-0.{BASE} 30 A 10.8.1.2",
    f"a-demo-service-1.{BASE} 30 A 10.8.1.2",
    f"b-demo-service-0.{BASE} 30 A 10.9.1.2",
    f"b-demo-service-1.{BASE} 30 A 10.9.1.2",
]
WHOLE = ("NOERROR", ANSWER, [], ADDITIONAL, [])


def shape(answer):
    return (answer.rcode, answer.answer, answer.authority, answer.additional, answer.ede)


def examine(bed, check, daemon, what):
    at = ["@" + daemon.host, "-p", daemon.port]
    for how in ("+notcp", "+tcp"):
        _, out, _ = bed.run("dig", *at, how, "SRV", QUESTION)
        check.same(f"seed, {what}: dig {how} gives the page's answer",
                   shape(ask.printed(out)), WHOLE)
    for tcp in (False, True):
        got = ask.ask(daemon, QUESTION, "SRV", tcp=tcp)
        check.same(f"seed, {what}: dnspython, {'TCP' if tcp else 'UDP'}", shape(got), WHOLE)
        check.same(f"M9 AA from authoritative clusters, RD from the client ({what}, tcp={tcp})",
                   got.flags, ["qr", "aa", "rd"])
    again = [ask.datagram(daemon, ask.query(QUESTION, "SRV", id=7).to_wire()) for _ in range(5)]
    check.same(f"M1 the same inputs give the same bytes ({what})", len(set(again)), 1)


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    examine(bed, check, bed.gathersrv(*two(a, b)), "two suffixes")
    same = "cluster.local."
    a, b = bed.knot({same: seed(same, "10.8")}), bed.knot({same: seed(same, "10.9")})
    examine(bed, check, bed.gathersrv(*two(a, b, suffixes=(same, same))), "one suffix")
