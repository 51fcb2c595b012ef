"""What was asked before is answered as before while a cluster is down: every
record type, negatives included, over UDP, TCP and TLS, with one worker and with
eight (rules K1 to K8).

While both clusters are there each question is asked once, over UDP, so one
worker alone has heard the answer. During the outage every question comes over
many connections, so that all workers meet it.
"""

import pathlib
import signal
import socket

import dns.flags

import ask
import outages
import relay
from bed import LOOPBACK, two
from certificates import Authority
from checks import until
from outages import S, SRV, every_kind
from worlds import A, B, Z
from .secure import context, read_frame, tls_daemon

# Connections for each worker: a worker that gets none of 12 is one case in 100,000.
CONNECTIONS = 12
WORKERS = (1, 2, 4, 8)
# The daemon that also serves TLS.
SECURE = 4

# A query's flags without and with CD.
RD = dns.flags.RD
CD = RD | dns.flags.CD

# What cluster a alone is asked for, and has.
OF_A = every_kind("a-mongo-1.mongo." + S)
QUESTIONS = OF_A + every_kind(
    # Services, their pods, and aliases.
    SRV, "mongo." + S, "web." + S, "alias." + S, "mixed." + S, "only-a." + S, "only-b." + S,
    "mongo-2.mongo." + S, "b-mongo-1.mongo." + S, "b-web." + S,
    # Names that look as if they had a prefix, and have none (Q5).
    "a-thing." + S, "b-thing." + S,
    # What neither cluster has, and what exists because of the names below it.
    "no-such." + S, "below.no-such." + S, "b-no-such." + S,
    S, "svc." + Z, "under.apps.svc." + Z,
    "*.flood." + S,
) + [("leads." + S, "A"), ("pod.under.apps.svc." + Z, "A")]
# A service of more pods than an answer over UDP has room for.
BIG = "_big._tcp.big." + S
PODS = "".join(f"_big._tcp.big.default.svc SRV 0 0 80 big-{n}.default.svc\n" for n in range(60))

# Asked with CD=1 only.
CHECKING_OFF = "cd.flood." + S

# What a healthy daemon answers: the snapshot must not be of a wrong answer.
HEALTHY = (
    ("K8", "alias." + S, "AAAA", []),
    ("K8", "alias." + S, "A", ["10.8.5.1", "10.9.5.1"]),
    ("K8", "mixed." + S, "AAAA", []),
    ("K8", "mixed." + S, "A", ["10.8.5.1", "10.9.5.3"]),
    ("K8", "only-a." + S, "AAAA", ["a-web." + S]),
    ("Q5", "a-thing." + S, "A", ["10.9.8.1"]),
    ("Q5", "b-thing." + S, "A", ["10.8.8.1"]),
    ("M5", "only-b." + S, "AAAA", []),
    ("M5", "under.apps.svc." + Z, "NS", []),
)


def data(answer):
    return [line.split(None, 3)[3] for line in answer.answer]


def wires(questions, flags):
    """Queries with IDs of their own, and the questions by ID."""
    asked = dict(enumerate(questions, 1))
    return asked, [ask.query(name, kind, id=number, flags=flags).to_wire()
                   for number, (name, kind) in asked.items()]


def over_udp(daemon, questions, flags):
    for (name, kind) in questions:
        yield (name, kind), ask.ask(daemon, name, kind, flags=flags)


def over_streams(questions, flags, workers, exchange):
    """Every question over two connections, a few questions on each."""
    count = CONNECTIONS * workers // 2
    for offset in (0, count // 2 + 1):
        moved = questions[offset:] + questions[:offset]
        for n in range(count):
            asked, queries = wires(moved[n::count], flags)
            for wire in exchange(queries) if queries else ():
                yield asked[int.from_bytes(wire[:2], "big")], ask.read(wire)


def secured(authority, port):
    """Queries on one connection over TLS."""
    made = context(authority)

    def exchange(queries):
        with socket.create_connection((LOOPBACK, port), timeout=ask.TIMEOUT) as plain:
            with made.wrap_socket(plain, server_hostname="dns.gathersrv.example") as secure:
                secure.sendall(b"".join(len(query).to_bytes(2, "big") + query for query in queries))
                return [read_frame(secure) for _ in queries]

    return exchange


def compare(check, what, before, answers):
    """Two checks: one of what had no records before, one of what had some."""
    negatives, records = [], []
    for question, answer in answers:
        why = outages.differs(before[question], answer, stale=question not in OF_A)
        (records if before[question][2] else negatives).append((question, why))
    for rule, found in (("K1 negatives", negatives), ("M6 records", records)):
        outages.report(check, f"{rule} as before, {what}", [pair for pair in found if pair[1]],
                       len(found))


def expect(check, what, daemon, name, kind, expected, **more):
    """rcode, the records' data and the EDE codes of one answer."""
    got = ask.ask(daemon, name, kind, **more)
    check.same(what, (got.rcode, data(got), outages.codes(got)), expected)
    return got


def never_asked(check, daemon):
    """Names and types that are asked for the first time while cluster b is down."""
    for kind in ("AAAA", "HTTPS", "SVCB", "NS"):
        got = expect(check, f"K3 {kind} of a name never asked, cluster a has none: NODATA, EDE 23",
                     daemon, "fresh." + S, kind, ("NOERROR", [], [23]))
        check.that(f"K3 {kind}: the EDE names cluster b, and it alone",
                   got.ede and B in got.ede[0][1] and A not in got.ede[0][1], got.ede)
    for kind in ("SRV", "TXT", "MX"):
        expect(check, f"K3 {kind} of a name never asked: SERVFAIL",
               daemon, "fresh." + S, kind, ("SERVFAIL", [], [23]))
    expect(check, "K3 a name that cluster a denies, and nothing is held: SERVFAIL",
           daemon, "never." + S, "A", ("SERVFAIL", [], [23]))
    expect(check, "M6 a name never asked, cluster a has records: without cluster b",
           daemon, "fresh." + S, "A", ("NOERROR", ["10.8.6.1"], [23]))
    for kind in ("AAAA", "HTTPS", "SVCB"):
        expect(check, f"K4 {kind} of a name whose address is held: NODATA, EDE 3",
               daemon, "pod.under.apps.svc." + Z, kind, ("NOERROR", [], [3]))
    expect(check, "K4 an ancestor of a held name, never asked: NODATA, EDE 3",
           daemon, "apps.svc." + Z, "NS", ("NOERROR", [], [3]))
    for kind in ("SRV", "TXT"):
        expect(check, f"K4 never for {kind}: SERVFAIL",
               daemon, "pod.under.apps.svc." + Z, kind, ("SERVFAIL", [], [23]))


def beside(check, what, daemon, **more):
    """The targets' addresses, which were never a question."""
    for n in (0, 2):
        expect(check, f"K6 {what}: the address of an SRV target of cluster b",
               daemon, f"b-mongo-{n}.mongo." + S, "A", ("NOERROR", [f"10.9.1.{n}"], [3]), **more)
    expect(check, f"K6 {what}: the address that a CNAME led to",
           daemon, "b-target." + S, "A", ("NOERROR", ["10.9.5.2"], [3]), **more)
    for kind in ("AAAA", "HTTPS"):
        expect(check, f"K4 {what}: {kind} of an SRV target is NODATA",
               daemon, "b-mongo-0.mongo." + S, kind, ("NOERROR", [], [3]), **more)


def policies(check, daemons):
    """K5: each of these has been asked the same before."""
    for what, daemon in daemons.items():
        for name, kind in ((SRV, "SRV"), ("web." + S, "AAAA"), ("no-such." + S, "A")):
            got = ask.ask(daemon, name, kind)
            if what != "partial":
                wanted = ("SERVFAIL", 0, [23])
            elif kind == "A":
                wanted = ("SERVFAIL", 0, [23])
            else:
                wanted = ("NOERROR", 3 if kind == "SRV" else 0, [23])
            check.same(f"K5 {what}: {kind} of {name}",
                       (got.rcode, len(got.answer), outages.codes(got)), wanted)


def members(answer):
    """How many SRV records lead to cluster a, and to cluster b."""
    targets = [line.split()[-1] for line in answer.answer]
    return tuple(sum(target.startswith(prefix) for target in targets) for prefix in ("a-", "b-"))


def large(check, what, daemon, edes):
    """An answer that is cut over UDP has both clusters' share."""
    got = ask.ask(daemon, BIG, "SRV")
    shares = members(got)
    check.that(f"K9 {what}: 120 SRV records over UDP are cut, and each cluster has its share",
               "tc" in got.flags and min(shares) > 2 and abs(shares[0] - shares[1]) <= 1,
               (got.flags, shares))
    found = [ask.ask(daemon, BIG, "SRV", tcp=True) for _ in range(CONNECTIONS)]
    check.same(f"K9 {what}: all of them over TCP, {CONNECTIONS} times",
               {(members(got), *outages.codes(got)) for got in found}, {((60, 60), *edes)})


def endpoints_first(bed, check, a):
    """K2: a cluster loses its endpoints, and a moment later its DNS."""
    b = bed.knot({B: outages.zone_b()})
    daemon = bed.gathersrv(*two(a, b))
    questions = [(SRV, "SRV"), ("mongo." + S, "A"), ("mongo." + S, "TXT")]
    before = outages.remember(daemon, questions)
    zone = pathlib.Path(b.words[-1]).parent / "0.zone"
    zone.write_text("\n".join(line for line in outages.zone_b().replace(" 1 7200", " 2 7200").split("\n")
                              if "mongo" not in line))
    b.send(signal.SIGHUP)
    gone = until(lambda: not any("b-mongo" in line for line in ask.ask(daemon, SRV, "SRV").answer))
    check.that("K2 a cluster that is there and has lost its endpoints is believed", gone)
    for name, kind in questions:
        ask.ask(daemon, name, kind)
    outages.kill(b, daemon)
    found = [((name, kind), why) for name, kind in questions
             if (why := outages.differs(before[name, kind], ask.ask(daemon, name, kind)))]
    outages.report(check, "K2 endpoints lost just before the DNS: records as before", found,
                   len(questions))
    daemon.end()


def full(bed, check, a, b):
    """As many queries are in flight as there may be, because a cluster is silent.
    What is held is answered without one."""
    asked = [(SRV, "SRV"), ("mongo." + S, "A"), ("only-b." + S, "A")]
    with relay.Relay(b) as silent:
        daemon = bed.gathersrv(*two(a, silent.at), "--workers", "1", "--max-queries", "4",
                               "--max-fails", "0", "--deadline", "4s")
        before = outages.remember(daemon, asked)
        silent.mode = relay.SILENT
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((daemon.host, daemon.port))
            for n in range(8):
                sock.send(ask.query(f"full-{n}.flood." + S, "A").to_wire())
            got = ask.ask(daemon, "full.flood." + S, "A")
            found = [((name, kind), f"was {before[name, kind]}, is {answer}") for name, kind in asked
                     if not outages.same(before[name, kind], answer := ask.ask(daemon, name, kind))]
        check.same("K --max-queries is reached: a name that is not held is SERVFAIL",
                   (got.rcode, outages.codes(got)), ("SERVFAIL", [0]))
        outages.report(check, "K --max-queries is reached: what is held is given", found, len(asked))
        # It would wait for the silent cluster.
        daemon.end(signal.SIGKILL)


def healthy(check, daemon):
    """What is remembered is right."""
    for rule, name, kind, records in HEALTHY:
        expect(check, f"{rule} before: {kind} of {name}", daemon, name, kind, ("NOERROR", records, []))
    for name in ("alias." + S, "mixed." + S):
        expect(check, f"K8 before: the CNAME of {name}, which is flattened", daemon, name, "CNAME",
               ("NOERROR", [], [0]))
    expect(check, "M5 before: what neither cluster has", daemon, "no-such." + S, "A",
           ("NXDOMAIN", [], []))


def run(bed, check):
    authority = Authority(bed.dir)
    a, b = bed.knot({A: outages.zone_a(extra=PODS)}), bed.knot({B: outages.zone_b(extra=PODS)})
    daemons, port = {}, 0
    for workers in WORKERS:
        words = (*two(a, b), "--workers", str(workers))
        if workers == SECURE:
            daemons[workers], port = tls_daemon(bed, authority, *words)
        else:
            daemons[workers] = bed.gathersrv(*words)
    others = {"partial": ("--on-missing", "partial"), "fail": ("--on-missing", "fail"),
              "min-clusters": ("--on-missing", "partial", "--min-clusters", "2")}
    others = {what: bed.gathersrv(*two(a, b), *words) for what, words in others.items()}
    before = {workers: outages.remember(daemon, QUESTIONS) for workers, daemon in daemons.items()}
    check.that("M1 before: all daemons say the same", len({str(said) for said in before.values()}) == 1)
    healthy(check, daemons[1])
    for daemon in daemons.values():
        ask.ask(daemon, CHECKING_OFF, "A", flags=CD)
    for daemon in others.values():
        outages.remember(daemon, [(SRV, "SRV"), ("web." + S, "AAAA"), ("no-such." + S, "A")])
    for workers, daemon in daemons.items():
        large(check, f"before, --workers {workers}", daemon, [])
    endpoints_first(bed, check, a)
    full(bed, check, a, b)

    outages.kill(b, *daemons.values(), *others.values())
    for workers, daemon in daemons.items():
        many = f"{workers} worker{'s' * (workers > 1)}"
        said = before[workers]
        for flags, what in ((RD, "UDP"), (CD, "UDP, CD=1")):
            compare(check, f"{many}, {what}", said, over_udp(daemon, QUESTIONS, flags))
        exchange = lambda queries: ask.stream(daemon, queries)
        for flags, what in ((RD, "TCP"), (CD, "TCP, CD=1"))[:2 if workers == max(WORKERS) else 1]:
            compare(check, f"{many}, {what}", said, over_streams(QUESTIONS, flags, workers, exchange))
        large(check, many, daemon, [3])
        beside(check, many, daemon)
        beside(check, many + ", TCP, CD=1", daemon, tcp=True, flags=CD)
    compare(check, f"{SECURE} workers, TLS", before[SECURE],
            over_streams(QUESTIONS, RD, SECURE, secured(authority, port)))
    for tcp in (False, True):
        expect(check, f"K7 held for CD=1, asked with CD=0: not used (tcp={tcp})", daemons[1],
               CHECKING_OFF, "A", ("NOERROR", ["10.8.7.1"], [23]), tcp=tcp)
        expect(check, f"K7 held for CD=1, asked with CD=1 (tcp={tcp})", daemons[1],
               CHECKING_OFF, "A", ("NOERROR", ["10.8.7.1", "10.9.7.1"], [3]), tcp=tcp, flags=CD)
    never_asked(check, daemons[2])
    policies(check, others)
