"""A forger at the built daemon (U1, U2, RFC 5452): raw packets that claim to be
a cluster's, as many as this machine sends, first at all ports and then at those
that are open. The cluster is silent over UDP, so that the window never closes,
and answers over TCP."""

import os
import random
import socket
import struct
import threading
import time

import ask
from bed import LOOPBACK, two
from worlds import A, B, Z, seed

NAME = "demo-service-0.default.svc."
FORGED = "6.6.6.6"
# Seconds of each attack: what the daemon needs to notice, several times over.
BLIND, SEEING = 6, 4


class Half:
    """A server that takes datagrams and answers none, and relays TCP."""

    def __init__(self, bed, behind):
        self.behind = behind
        self.streams = socket.socket()
        self.streams.bind((LOOPBACK, 0))
        self.streams.listen(64)
        self.port = self.streams.getsockname()[1]
        self.silence = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.silence.bind((LOOPBACK, self.port))
        bed.sockets += [self.streams, self.silence]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def at(self):
        return f"{LOOPBACK}:{self.port}"

    def _accept(self):
        while True:
            try:
                client, _ = self.streams.accept()
            except OSError:
                return
            server = socket.create_connection((self.behind.host, self.behind.port))
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    @staticmethod
    def _carry(a, b):
        try:
            while octets := a.recv(65536):
                b.sendall(octets)
        except OSError:
            pass
        finally:
            b.close()


def open_ports(server_port):
    """The daemon's ports towards a server, as only root on its host can see."""
    with open("/proc/net/udp", encoding="ascii") as table:
        lines = [line.split() for line in list(table)[1:]]
    return [int(line[1].split(":")[1], 16) for line in lines
            if int(line[2].split(":")[1], 16) == server_port]


class Forger(threading.Thread):
    """Sends until told to stop. `ports` gives those it aims at; all if None."""

    def __init__(self, half, ports):
        super().__init__(daemon=True)
        self.half, self.ports, self.sent, self.stop = half, ports, 0, False
        question = ask.query(NAME + B, "A", use_edns=False).to_wire()[12:]
        record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04" + socket.inet_aton(FORGED)
        self.rest = b"\x84\0\0\x01\0\x01\0\0\0\0" + question + record

    def run(self):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        raw.bind((LOOPBACK, 0))
        length = 8 + 2 + len(self.rest)
        draw = random.randrange
        while not self.stop:
            ports = self.ports() if self.ports else None
            for _ in range(2000):
                port = random.choice(ports) if ports else draw(1024, 65536)
                head = struct.pack("!HHHHH", self.half.port, port, length, 0, draw(65536))
                try:
                    raw.sendto(head + self.rest, (LOOPBACK, 0))
                except OSError:
                    continue  # no room, or nobody there: ICMP
                self.sent += 1


def attack(daemon, half, ports, seconds):
    """Asks all the while; returns packets sent, and every address seen."""
    forger = Forger(half, ports)
    forger.start()
    seen, asked, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        got = ask.ask(daemon, NAME + Z, "A")
        asked += 1
        seen.append(tuple(sorted(line.rsplit(" ", 1)[1] for line in got.answer)))
    forger.stop = True
    forger.join(10)
    return forger.sent, asked, seen


def run(bed, check):
    if os.geteuid() != 0:
        check.skip("a forger with raw sockets", "that takes root")
        return
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    half = Half(bed, b)
    daemon = bed.gathersrv(*two(a, half), "--keep", "0", "--max-fails", "0")
    for name, ports, seconds in (("at all ports", None, BLIND),
                                 ("who knows the open ports", lambda: open_ports(half.port), SEEING)):
        sent, asked, seen = attack(daemon, half, ports, seconds)
        what = f"{sent} forged packets {name}, {asked} questions"
        check.that(f"U1 {what}: not one forged answer",
                   sent > 20000 and not any(FORGED in one for one in seen), seen[:3])
        if ports:
            whole = [one for one in seen if "10.9.1.2" in one]
            check.that(f"U1 {what}: asked over TCP, {len(whole)} answers are whole",
                       len(whole) > asked * 0.9, seen[:3])
            check.that("U1 the log says that somebody guesses",
                       "somebody guesses" in daemon.said(), daemon.said())
