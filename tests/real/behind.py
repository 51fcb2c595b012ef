"""The part of the scenario of resolvers in front that runs inside the namespaces.

Every resolver has an address of its own and sends the zone to the daemon, told
so as docs/delegation.md says where that has the resolver. All are asked while
both clusters are there, and again during one outage.
"""

import os
import sys
import time

import ask
import outages
from bed import Bed, CannotStart
from checks import Checks
from outages import AT_OURS, S, SRV
from resolvers import Resolvers, files
from worlds import Z

# What resolvers remember ends soon.
TTL = 1

# An alias in both clusters, and one that is an alias in cluster a only; types in
# the order that poisons a cache, if anything does (K8).
ALIAS = [(name + "." + S, kind) for name in ("alias", "mixed") for kind in ("AAAA", "A")]
ADDRESSES = [[], ["10.8.5.1", "10.9.5.1"], [], ["10.8.5.1", "10.9.5.3"]]
QUESTIONS = ALIAS + [
    (SRV, "SRV"), ("mongo." + S, "TXT"), ("mongo." + S, "A"), ("mongo." + S, "AAAA"),
    ("web." + S, "HTTPS"), ("web." + S, "AAAA"), ("web." + S, "A"),
    ("b-mongo-1.mongo." + S, "A"), ("b-mongo-1.mongo." + S, "AAAA"), ("only-b." + S, "AAAA"),
    ("only-b." + S, "A"), ("only-a." + S, "AAAA"), ("only-a." + S, "A"),
    ("a-thing." + S, "A"), ("b-thing." + S, "A"),
    ("no-such." + S, "A"), ("no-such." + S, "AAAA"), ("pod.under.apps.svc." + Z, "A"),
]
# Never asked, by any of them, while cluster b is there.
TARGETS = [(f"b-mongo-{n}.mongo." + S, kind, records) for n in (0, 2)
           for kind, records in (("AAAA", []), ("A", [f"10.9.1.{n}"]))]


class More(Resolvers):
    """Those that are on no page of docs."""

    def pdns(self, host):
        home = self.home({"recursor.conf": (
            f"local-address={host}\nforward-zones={Z}={AT_OURS}\ndont-query=\ndnssec=off\n"
            "daemon=no\ndisable-syslog=yes\nwrite-pid=no\nsocket-dir=@HOME@\nthreads=1\n"
            "security-poll-suffix=\nhint-file=no\nallow-from=127.0.0.0/8\n")})
        return self.start(host, ["pdns_recursor", f"--config-dir={home}"])

    def kresd(self, host):
        home = self.home({"kresd.conf": (
            f"net.listen('{host}', 53, {{ kind = 'dns' }})\n"
            "cache.open(10 * MB, 'lmdb://@HOME@/cache')\ncache.min_ttl(0)\n"
            f"trust_anchors.set_insecure({{ '{Z}' }})\n"
            f"policy.add(policy.suffix(policy.FORWARD('{AT_OURS}'), policy.todnames({{ '{Z}' }})))\n")})
        return self.start(host, ["kresd", "--noninteractive", "--config", home / "kresd.conf", home])

    def static_stub(self, host):
        options, _ = files("BIND")
        zone = f'zone "{Z}" {{ type static-stub; server-addresses {{ {AT_OURS}; }}; }};\n'
        return self.named(host, options + "qname-minimization strict;\n", zone)


def starters(start):
    """How each is started, by name."""
    return {
        "unbound": lambda host: start.unbound(host, *files("unbound")),
        "BIND": lambda host: start.named(host, *files("BIND")),
        "BIND, static-stub with strict QNAME minimisation": start.static_stub,
        "PowerDNS": start.pdns,
        "knot-resolver": start.kresd,
        "dnsmasq": lambda host: start.dnsmasq(host, *files("dnsmasq")),
    }


def said(server, name, kind):
    """rcode and records; resolvers differ in what else they give."""
    try:
        got = ask.ask(server, name, kind)
    except OSError as error:
        return (type(error).__name__, [])
    return (got.rcode, sorted(outages.plain(line) for line in got.answer))


def healthy(check, what, server):
    """What was said, by question."""
    before = {}
    for question in QUESTIONS:
        before[question] = said(server, *question)
    check.same(f"K8 {what}: aliases that are flattened, asked for AAAA and then for A",
               [(before[question][0], [line.split()[-1] for line in before[question][1]])
                for question in ALIAS], [("NOERROR", records) for records in ADDRESSES])
    check.same(f"M1 {what}, before: all members of both clusters",
               (before[SRV, "SRV"][0], len(before[SRV, "SRV"][1])), ("NOERROR", 6))
    return before


def during(what, server, before, questions):
    return [(question, f"was {before[question]}, is {got}") for question in questions
            if (got := said(server, *question)) != before[question]]


def forgotten():
    """Returns when every TTL that was given has run out."""
    time.sleep(TTL + 1)


def main():
    check = Checks()
    with Bed(sys.argv[1]) as bed:
        outages.prepare("10.8.0.1/32", "10.9.0.1/32", "10.96.0.53/32",
                        # named listens at addresses of interfaces only.
                        *(f"127.0.0.{n}/32" for n in range(2, 10)))
        os.chmod(bed.dir, 0o755)
        _, b, daemon = outages.clusters(bed, TTL)
        servers = {}
        for n, (what, start) in enumerate(starters(More(bed)).items(), 2):
            try:
                servers[what] = start(f"127.0.0.{n}")
            except (CannotStart, OSError) as error:
                check.fail(f"{what} starts", str(error))
        before = {what: healthy(check, what, server) for what, server in servers.items()}
        outages.kill(b, daemon)
        # The answers of the healthy time are gone, then those of the outage; the
        # second time types are asked in the other order.
        for time_, questions in (("", QUESTIONS), (", again", QUESTIONS[::-1])):
            forgotten()
            for what, server in servers.items():
                outages.report(check, f"K behind {what}, cluster b down{time_}: as before",
                               during(what, server, before[what], questions), len(questions))
        for what, server in servers.items():
            wanted = {(name, kind): ("NOERROR", records) for name, kind, records in TARGETS}
            got = {(name, kind): said(server, name, kind) for name, kind, _ in TARGETS}
            got = {question: (code, [line.split()[-1] for line in lines])
                   for question, (code, lines) in got.items()}
            check.same(f"K6 behind {what}: addresses of SRV targets, never asked before", got, wanted)
    print(f"{check.passed} passed, {check.failed} failed, not run: {'; '.join(check.not_run)}")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
