"""A forger at the built daemon (U1, U2, RFC 5452): raw packets that claim to be
a cluster's, as many as this machine sends, first at all ports and then at those
that are open. The cluster is silent over UDP, so that the window never closes,
and answers over TCP. The daemon has two workers, and the forger also asks: with
every flag, over both transports, and so often that thousands wait.

How many windows that opens is seen at the cluster: `Half` counts the IDs that
one question has at once."""

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
    """A server that takes datagrams and answers none, and relays TCP. It notes
    from which port and with which ID each came, and when."""

    def __init__(self, bed, behind):
        self.behind = behind
        self.streams = socket.socket()
        self.streams.bind((LOOPBACK, 0))
        self.streams.listen(64)
        self.port = self.streams.getsockname()[1]
        self.silence = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.silence.bind((LOOPBACK, self.port))
        self.came = []
        bed.sockets += [self.streams, self.silence]
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                packet, (_, port) = self.silence.recvfrom(4096)
            except OSError:
                return
            cd = packet[3] >> 4 & 1
            end = packet.index(0, 12) + 5
            question = (packet[12:end].lower(), cd)
            self.came.append((time.monotonic(), question, port, packet[:2]))

    def windows(self, question, lasts):
        """The most IDs that one question, with CD or without, can have had at
        once, if none outlives `lasts` seconds."""
        most = 0
        came = [(at, cd, (port, ident)) for at, (asked, cd), port, ident in self.came
                if asked == question]
        for cd in (0, 1):
            own = [(at, window) for at, with_cd, window in came if with_cd == cd]
            for n, (at, _) in enumerate(own):
                most = max(most, len({window for when, window in own[:n + 1] if when > at - lasts}))
        return most

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
    forger, asker = Forger(half, ports), Asker(daemon, NAME + Z)
    forger.start()
    asker.start()
    seen, asked, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        got = ask.ask(daemon, NAME + Z, "A")
        asked += 1
        seen.append(tuple(sorted(line.rsplit(" ", 1)[1] for line in got.answer)))
    forger.stop = asker.stop = True
    forger.join(10)
    asker.join(10)
    return forger.sent, asked, seen


class Asker(threading.Thread):
    """Asks one question in every way, without waiting for answers."""

    def __init__(self, daemon, name):
        super().__init__(daemon=True)
        self.daemon_, self.name, self.asked, self.stop = daemon, name, 0, False

    def run(self):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setblocking(False)
        packets = []
        for bits in range(16):
            packet = bytearray(ask.query(self.name, "A", use_edns=bool(bits & 8)).to_wire())
            packet[2] = packet[2] & ~1 | bits & 1
            packet[3] = (bits >> 1 & 1) << 5 | (bits >> 2 & 1) << 4
            packets.append(packet)
        tcp = []
        for _ in range(8):
            one = socket.create_connection((self.daemon_.host, self.daemon_.port), timeout=2)
            one.setblocking(False)
            tcp.append(one)
        while not self.stop:
            packet = random.choice(packets)
            packet[:2] = random.randbytes(2)
            for send in (lambda: udp.sendto(packet, (self.daemon_.host, self.daemon_.port)),
                         lambda: random.choice(tcp).send(struct.pack("!H", len(packet)) + packet)):
                try:
                    send()
                    self.asked += 1
                except OSError:
                    pass
            for one in [udp, *tcp]:
                try:
                    one.recv(65536)
                except OSError:
                    pass
            if self.asked % 20 == 0:
                time.sleep(0.005)
        for one in [udp, *tcp]:
            one.close()


def count_windows(bed, check, a):
    """Nobody forges: how many windows do all ways of asking open?"""
    half = Half(bed, a)
    daemon = bed.gathersrv(*two(a, half), "--keep", "0", "--max-fails", "0", "--workers", "2")
    asker = Asker(daemon, NAME + Z)
    asker.start()
    time.sleep(4)
    asker.stop = True
    asker.join(10)
    question = ask.query(NAME + B, "A", use_edns=False).to_wire()[12:]
    # An ID is given up at its query's deadline, 0.8 s.
    most = half.windows(bytes(question).lower(), 0.8)
    # Two workers, each of which may have four.
    check.that(f"U4 {asker.asked} times the same question, in every way, and {most} IDs at once",
               asker.asked > 2000 and 0 < most <= 8, len(half.came))


def run(bed, check):
    if os.geteuid() != 0:
        check.skip("a forger with raw sockets", "that takes root")
        return
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    half = Half(bed, b)
    count_windows(bed, check, a)
    daemon = bed.gathersrv(*two(a, half), "--keep", "0", "--max-fails", "0", "--workers", "2")
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
