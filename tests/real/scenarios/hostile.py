"""Hostile clients: every row of tests/hostile/clients.txt at the built daemon,
over UDP and as a frame over TCP, and streams that are not what a stream should
be (RFC 7766). Whoever else asks meanwhile is answered.

Silence needs no waiting: a good query goes behind each input on the same
socket, and what is answered at once would come before its answer.
"""

import concurrent.futures
import socket
import struct
import time

import dns.message
import dns.rcode

import ask
import notation
from bed import two
from worlds import A, B
from . import hostile_streams

ZONE = """$ORIGIN {suffix}
$TTL 30
@ SOA ns hostmaster 1 7200 1800 86400 5
@ NS ns
ns A {net}.0.1
* A {net}.1.2
{big}
"""

# What a client that never reads asks for: some 12,000 octets.
BIG = "\n".join(f'big TXT "{n:03}{"x" * 197}"' for n in range(60))


def good(number):
    """A query that anybody may ask, with an ID of its own."""
    return ask.query("web.distributed.local.", "A", id=number).to_wire()


class Datagrams:
    """A UDP socket as the rows see it."""

    def __init__(self, daemon):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(ask.TIMEOUT)
        self.sock.connect((daemon.host, daemon.port))

    def send(self, wire):
        self.sock.send(wire)

    def receive(self):
        return self.sock.recv(65535)


class Frames:
    """A TCP connection as the rows see it."""

    def __init__(self, daemon):
        self.sock = socket.create_connection((daemon.host, daemon.port), ask.TIMEOUT)
        self.file = self.sock.makefile("rb")

    def send(self, wire):
        self.sock.sendall(struct.pack("!H", len(wire)) + wire)

    def receive(self):
        (size,) = struct.unpack("!H", self.file.read(2))
        return self.file.read(size)


def words(wire):
    """An answer in the words of the table; `asked` shows in its records."""
    # The opcode is not what is read here, and dnspython has its own idea of it.
    message = dns.message.from_wire(wire[:2] + bytes([wire[2] & 0x87]) + wire[3:])
    found = [dns.rcode.to_text(message.rcode())]
    if any(rrset.rdtype == 1 for rrset in message.answer):
        found.append("asked")
    if message.edns >= 0:
        found.append("opt")
    if message.question:
        found.append("question")
    return " ".join(found)


def meet(way, wire, number):
    """Sends an input and a good query behind it; the reaction to the first."""
    way.send(wire)
    way.send(good(number))
    reaction, answered = "none", False
    no_query = len(wire) < 12 or wire[2] & 0x80
    while not answered or (reaction == "none" and not no_query):
        try:
            reply = way.receive()
        except (OSError, struct.error) as why:
            return reaction + f", the good query behind it answered: {answered}, then {why!r}"
        if reply[:2] == struct.pack("!H", number):
            answered = ask.read(reply).rcode == "NOERROR"
        elif reply[:2] == wire[:2] and reaction == "none":
            reaction = words(reply)
        else:
            return f"an answer to nobody: {reply.hex()}"
    return reaction


def table(check, daemon):
    silent = []
    for row in notation.rows("clients.txt"):
        for kind in (Datagrams, Frames):
            way = kind(daemon)
            got = {meet(way, wire, 0x5000 + n) for n, wire in enumerate(row.inputs)}
            wanted = row.reaction
            if "opt?" in wanted:
                there = {wanted.replace("opt?", "opt"), wanted.replace("opt? ", "")}
                wanted = (got & there or there).pop()
            check.same(f"T5 {kind.__name__}: {row.name} ({row.source})", got, {wanted})
            if row.reaction == "none":
                silent.append((row.name, way.sock))
            else:
                way.sock.close()
    spoken = []
    for name, sock in silent:
        sock.setblocking(False)
        try:
            spoken.append((name, sock.recv(65535)))
        except BlockingIOError:
            pass
        sock.close()
    check.same("T5 nothing comes late where nothing should come", spoken, [])


def streams(check, daemon):
    """All at once, each from an address of its own; and a client that asks on
    all the while."""
    with concurrent.futures.ThreadPoolExecutor(len(hostile_streams.ALL)) as pool:
        begun = [(name, wanted, source, pool.submit(play, daemon, f"127.0.1.{n + 1}"))
                 for n, (name, wanted, source, play) in enumerate(hostile_streams.ALL)]
        asked, answered, slowest = 0, 0, 0.0
        while not all(told.done() for *_, told in begun):
            for tcp in (False, True):
                began = time.monotonic()
                asked += 1
                try:
                    got = ask.ask(daemon, "web.distributed.local.", "A", tcp=tcp)
                    answered += got.rcode == "NOERROR"
                except (OSError, struct.error):
                    pass
                slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.02)
    for name, wanted, source, told in begun:
        try:
            got = told.result()
        except (OSError, struct.error) as why:
            got = repr(why)
        check.same(f"T4 {name}: {wanted} ({source})", got, None)
    check.same(f"T4 meanwhile another client is answered, over UDP and TCP (slowest {slowest:.2f} s)",
               (answered, asked > 20), (asked, True))


def run(bed, check):
    a, b = (bed.knot({suffix: ZONE.format(suffix=suffix, net=net, big=BIG)})
            for suffix, net in ((A, "10.8"), (B, "10.9")))
    daemon = bed.gathersrv(*two(a, b))
    table(check, daemon)
    served = bed.gathersrv(*two(a, b), "--cache", "100")
    streams(check, served)
    for one in (daemon, served):
        got = ask.ask(one, "web.distributed.local.", "A")
        check.same("after all of it: a good query is answered, and SIGTERM ends it with exit code 0",
                   (got.rcode, len(got.answer), one.end()), ("NOERROR", 2, 0))
