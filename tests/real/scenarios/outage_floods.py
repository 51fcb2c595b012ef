"""What strangers ask must not displace what is asked: floods of names that are
not there, and of names that are, go by before a cluster's DNS ends, and every
member list that was asked meanwhile is as it was (the promise of section K).

CoreDNS with `pods insecure` has a name for every address, so a flood of names
that exist needs no more than a sender. Here a wildcard has them.
"""

import random
import socket
import struct
import threading
import time

import ask
import outages
from bed import two
from outages import S
from worlds import A, B

NAMES = 25_000
RATE = 2_500
LISTS = 300

# Clients ask every five seconds: before a flood, and in its middle. Between two
# rounds 12,500 names go by, and some thousands more before the cluster's DNS ends.
ROUNDS = (5,)

# Seconds that a flood may take on a machine that is busy.
PATIENCE = 60

# A sender sleeps between its bursts: 50 of them in a second.
BURST = RATE // 50

# Small, so that a cached answer is soon gone, and the clusters are asked.
TTL = 2

LIST = "_s._tcp.list-{}." + S
MEMBERS = "".join(f"_s._tcp.list-{n}.default.svc SRV 0 0 80 pod-{n}.default.svc\n"
                  f"pod-{n}.default.svc A {{net}}.20.{n % 250}\n" for n in range(LISTS))
QUESTIONS = [(LIST.format(n), "SRV") for n in range(LISTS)]


def random_query(rng, under):
    """A query for an address of a name that nobody asked before, without EDNS."""
    label = bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=14))
    return (struct.pack("!6H", rng.randrange(1 << 16), 0x0100, 1, 0, 0, 0) + b"\x0e" + label + under
            + struct.pack("!2H", 1, 1))


def encoded(name):
    labels = name.rstrip(".").split(".")
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


class Flood(threading.Thread):
    """Sends the queries at its rate, and throws answers away."""

    def __init__(self, daemon, under):
        super().__init__(daemon=True)
        self.at, self.under = (daemon.host, daemon.port), encoded(under)
        self.answered = 0
        self.seconds = 0.0

    def run(self):
        rng = random.Random(self.at[1])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(self.at)
            began = time.monotonic()
            for sent in range(0, NAMES, BURST):
                for _ in range(BURST):
                    sock.send(random_query(rng, self.under))
                self.drain(sock, began + (sent + BURST) / RATE)
            self.drain(sock, time.monotonic() + 1)
            self.seconds = time.monotonic() - began

    def drain(self, sock, end):
        """Receives until then, and what is there already in any case."""
        while True:
            sock.settimeout(max(1e-4, end - time.monotonic()))
            try:
                sock.recv(4096)
                self.answered += 1
            except TimeoutError:
                return


def round_of(daemon, before):
    """Asks for every list; those that are not as before, and how many were stale."""
    found, stale = [], 0
    for name, kind in QUESTIONS:
        got = ask.ask(daemon, name, kind)
        if not outages.same(before[name, kind], got):
            found.append(((name, kind), f"was {before[name, kind]}, is {got}"))
        stale += outages.codes(got) == [3]
    return found, stale


def run(bed, check):
    a = bed.knot({A: outages.zone_a(TTL, MEMBERS.format(net="10.8"))})
    b = bed.knot({B: outages.zone_b(TTL, MEMBERS.format(net="10.9"))})
    floods, before, bad = {}, {}, {}
    for what, under in (("names that are not there", "nothing." + S),
                        ("names that are", "flood." + S)):
        daemon = bed.gathersrv(*two(a, b), "--cache", "10000")
        before[what] = outages.remember(daemon, QUESTIONS)
        check.that(f"M1 before a flood of {what}: lists of both clusters",
                   all(len(said[2]) == 2 for said in before[what].values()))
        floods[what], bad[what] = (Flood(daemon, under), daemon), []
    began = time.monotonic()
    for flood, _ in floods.values():
        flood.start()
    for after in ROUNDS:
        time.sleep(max(0, began + after - time.monotonic()))
        for what, (_, daemon) in floods.items():
            bad[what] += round_of(daemon, before[what])[0]
    for flood, _ in floods.values():
        flood.join(max(0, began + PATIENCE - time.monotonic()))
    for what, (flood, _) in floods.items():
        print(f"  (a flood of {what}: {NAMES} in {flood.seconds:.1f} s, {flood.answered} answers)")
        outages.report(check, f"K during a flood of {what}, the lists as before", bad[what], LISTS)

    outages.kill(b, *(daemon for _, daemon in floods.values()))
    for what, (_, daemon) in floods.items():
        end = time.monotonic() + TTL + outages.CAP
        found, stale = round_of(daemon, before[what])
        while not found and stale < LISTS and time.monotonic() < end:
            time.sleep(0.3)
            found, stale = round_of(daemon, before[what])
        outages.report(check, f"K after a flood of {what}, cluster b down: the lists as before",
                       found, LISTS)
        check.same(f"M6 after a flood of {what}: said to be stale (EDE 3)", stale, LISTS)
