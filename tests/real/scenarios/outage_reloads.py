"""A reload keeps the last good answers of what it does not touch: each change of
a Corefile is made while cluster b is down, and 20 of 20 names are answered as
before.

Each change has a daemon of its own, so that one that forgets hides no other.
"""

import types

import ask
import outages
from bed import LOOPBACK, free_port
from checks import until
from outages import S
from worlds import A, B

SECOND = "127.0.0.2"

# Seconds until an answer in the cache is certainly gone: the file has `cache 1`.
CACHED = 1

QUESTIONS = ([(f"_s._tcp.list-{n}." + S, "SRV") for n in range(6)]
             + [(f"list-{n}." + S, "A") for n in range(6)]
             + [("mongo." + S, "TXT"), ("only-b." + S, "A"), ("b-web." + S, "A"), ("a-thing." + S, "A"),
                ("web." + S, "AAAA"), ("mongo." + S, "HTTPS"), ("no-such." + S, "A"),
                ("no-such." + S, "SRV")])
LISTS = "".join(f"_s._tcp.list-{n}.default.svc SRV 0 0 80 web.default.svc\n"
                f"list-{n}.default.svc A {{net}}.21.{n}\n" for n in range(6))

COREFILE = """\
distributed.local.:{port} example.net.:{port} {{
    bind 127.0.0.1
    gathersrv distributed.local. {{
        cluster-a.local. a- {a}
        cluster-b.local. b- {b}
        deadline 800ms
        keep-on-empty 0s
    }}
    forward example.net. {a} {{
        max_concurrent 5000
        max_fails 2
    }}
    cache 1 {{
        success 5000
        serve_stale 1h
    }}
    bufsize 1232
}}
"""


class Reloaded:
    """A daemon with a Corefile, and one change of that."""

    def __init__(self, bed, number, what, old, new, clusters):
        self.what, self.clusters, self.new = what, clusters, new
        self.home = bed.dir / f"reload-{number}"
        self.home.mkdir()
        self.path = self.home / "Corefile"
        self.text = COREFILE.format(port=free_port(), **clusters)
        self.old, self.changes = old.format(**clusters), 0
        port = int(self.text.split(":", 1)[1].split()[0])
        self.path.write_text(self.text)
        self.daemon = bed.configured(self.path, port, "--workers", "2")
        self.before = outages.remember(self.daemon, QUESTIONS)

    def write(self, text):
        """Puts the file in place, and waits until it is served."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.path)
        self.changes += 1
        return until(lambda: f"(change {self.changes})" in self.daemon.said())

    def change(self, **more):
        """The change, made; `more` are addresses that it names."""
        changed = self.text.replace(self.old, self.new.format(**self.clusters, **more))
        assert changed != self.text, self.what
        return self.write(changed)

    def differing(self, edes=True):
        """The questions that are not answered as before, over UDP and over TCP."""
        found = []
        for tcp in (False, True):
            for name, kind in QUESTIONS:
                got = ask.ask(self.daemon, name, kind, tcp=tcp)
                if edes:
                    why = outages.differs(self.before[name, kind], got)
                else:
                    why = "" if outages.same(self.before[name, kind], got) else str(got)
                if why:
                    found.append(((name, kind), why))
        return found


SERVERS = "cluster-b.local. b- {b}"
CHANGES = (
    ("max_concurrent", "max_concurrent 5000", "max_concurrent 6000"),
    ("max_fails", "max_fails 2", "max_fails 3"),
    ("bufsize", "bufsize 1232", "bufsize 1400"),
    ("deadline", "deadline 800ms", "deadline 700ms"),
    ("the cache's size", "success 5000", "success 7000"),
    ("keep-on-empty", "keep-on-empty 0s", "keep-on-empty 10s"),
    ("another cluster", SERVERS, SERVERS + "\n        cluster-c.local. c- {c}"),
    ("another server of cluster a", "cluster-a.local. a- {a}", "cluster-a.local. a- {a} {a2}"),
    ("another server of cluster b, as its first", SERVERS, "cluster-b.local. b- {dead} {b}"),
    ("another bind", "bind 127.0.0.1\n", "bind 127.0.0.1 " + SECOND + "\n"),
)


def changes(check, daemons):
    for one in daemons:
        check.that(f"K reload, {one.what}: served", one.change(), one.daemon.said())
    for one in daemons:
        outages.report(check, f"K reload, {one.what}: as before, UDP and TCP",
                       one.differing(), 2 * len(QUESTIONS))
        if one.what == "another bind":
            second = types.SimpleNamespace(host=SECOND, port=one.daemon.port)
            found = [((name, kind), why) for name, kind in QUESTIONS if (why := outages.differs(
                one.before[name, kind], ask.ask(second, name, kind)))]
            outages.report(check, "K reload, another bind: as before at the address that is new", found,
                           len(QUESTIONS))


def working_server(bed, check, one):
    """A server that works is added in the middle of the outage, and taken away."""
    b = bed.knot({B: outages.zone_b(extra=LISTS.format(net="10.9"))})
    one.old, one.new = SERVERS.format(**one.clusters), "cluster-b.local. b- {more} {b}"
    check.that("K reload, a working server of cluster b more: served", one.change(more=b.at))
    fresh = until(lambda: not one.differing(edes=False)
                  and not outages.codes(ask.ask(one.daemon, *QUESTIONS[0])))
    check.that("K reload, a working server more: answers as before, nothing stale", fresh,
               one.daemon.said()[-1500:])
    check.that("K reload, it is taken away again: served", one.write(one.text), one.daemon.said())
    outages.report(check, "K reload, it is taken away again: as before, UDP and TCP", stale(one),
                   2 * len(QUESTIONS))


def stale(one):
    """What differs once nothing is answered from the cache any more."""
    until(lambda: outages.codes(ask.ask(one.daemon, *QUESTIONS[0])) == [3],
          CACHED + outages.NOTICED)
    return one.differing()


def run(bed, check):
    a = bed.knot({A: outages.zone_a(extra=LISTS.format(net="10.8"))})
    b = bed.knot({B: outages.zone_b(extra=LISTS.format(net="10.9"))})
    c = bed.knot({"cluster-c.local.": "@ 30 SOA ns hostmaster 1 7200 1800 86400 30\n@ 30 NS ns\n"})
    a2 = bed.knot({A: outages.zone_a(extra=LISTS.format(net="10.8"))})
    clusters = {"a": a.at, "b": b.at, "c": c.at, "a2": a2.at,
                "dead": f"{LOOPBACK}:{free_port()}"}
    daemons = [Reloaded(bed, number, *change, clusters)
               for number, change in enumerate(CHANGES)]
    check.that("M1 before: all daemons say the same",
               len({str(one.before) for one in daemons}) == 1)
    outages.kill(b, *(one.daemon for one in daemons))
    untouched = daemons[0]
    outages.report(check, "K no reload yet, cluster b down: as before, UDP and TCP",
                   stale(untouched), 2 * len(QUESTIONS))
    changes(check, daemons)
    for one in daemons[1:4]:
        untouched.old, untouched.new = one.old, one.new
        untouched.change()
    outages.report(check, "K reload, three times more: as before, UDP and TCP",
                   untouched.differing(), 2 * len(QUESTIONS))
    working_server(bed, check, untouched)
