"""Asking, and answers as plain lists that can be compared record by record.

A record is its line in a zone file, spelled as it came: 'owner TTL type data'.
Case and order are kept, because rules R3 and M1 are about them.
"""

import re
import socket
import struct
import time

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

TIMEOUT = 5


class Answer:
    """A reply of the daemon, or what a tool printed of it."""

    def __init__(self, rcode, flags, answer, authority, additional, ede=(), size=0, edns=None):
        self.rcode, self.flags = rcode, flags
        self.answer, self.authority, self.additional = answer, authority, additional
        self.ede, self.size, self.edns = list(ede), size, edns
        self.options = []

    def __repr__(self):
        return f"{self.rcode} {self.flags} {self.answer} {self.authority} {self.additional} {self.ede}"


def lines(section):
    found = []
    for rrset in section:
        for rdata in rrset:
            kind = dns.rdatatype.to_text(rrset.rdtype)
            found.append(f"{rrset.name} {rrset.ttl} {kind} {rdata}")
    return found


def read(wire):
    """An answer from its octets."""
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    ede = [(option.code, option.text or "") for option in message.options
           if isinstance(option, dns.edns.EDEOption)]
    edns = None if message.edns < 0 else message.payload
    flags = dns.flags.to_text(message.flags).lower().split()
    answer = Answer(dns.rcode.to_text(message.rcode()), flags, lines(message.answer),
                    lines(message.authority), lines(message.additional), ede, len(wire), edns)
    answer.options = [int(option.otype) for option in message.options]
    answer.question = message.question
    return answer


def query(name, kind, **more):
    """A query's octets; EDNS with 1232 octets unless told."""
    more = {"use_edns": 0, "payload": 1232, **more}
    if more["use_edns"] is False:
        more.pop("payload")
    return dns.message.make_query(name, kind, **more)


def ask(server, name, kind, tcp=False, **more):
    """Asks once, over UDP or TCP."""
    wire = query(name, kind, **more).to_wire()
    return read(stream(server, [wire])[0] if tcp else datagram(server, wire))


def datagram(server, wire, timeout=TIMEOUT, host=None):
    """The first answer to a datagram; only from the address that was asked."""
    host = host or server.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect((host, server.port))
        sock.send(wire)
        return sock.recv(65535)


def cookie(octets):
    """A COOKIE option with these octets."""
    return dns.edns.GenericOption(10, octets)


def cookie_in(wire):
    """The cookie of an answer, if it has one."""
    for option in dns.message.from_wire(wire).options:
        if option.otype == 10:
            return option.to_wire()
    return None


def datagrams(server, wire, wait):
    """Every answer to a datagram within `wait` seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((server.host, server.port))
        sock.send(wire)
        found, end = [], time.monotonic() + wait
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                found.append(sock.recv(65535))
            except (TimeoutError, ConnectionRefusedError):
                break
        return found


def stream(server, wires, timeout=TIMEOUT):
    """Answers to queries sent at once on one connection, as they come."""
    with socket.create_connection((server.host, server.port), timeout) as sock:
        sock.sendall(b"".join(struct.pack("!H", len(wire)) + wire for wire in wires))
        file = sock.makefile("rb")
        found = []
        for _ in wires:
            (size,) = struct.unpack("!H", file.read(2))
            found.append(file.read(size))
        return found


# Parsing what dig and kdig print.
_HEADING = re.compile(r"^;; (QUESTION|ANSWER|AUTHORITY|ADDITIONAL) SECTION:")
_STATUS = re.compile(r"status: (\w+)")
_FLAGS = re.compile(r"^;; [Ff]lags: ([a-z ]*);", re.M)
_SIZE = re.compile(r"(?:MSG SIZE  rcvd: |;; Received )(\d+)")
_EDE = re.compile(r"EDE: (\d+)[^:]*(?:: \((.*)\))?")


def printed(text):
    """The answer in dig's or kdig's output."""
    sections = {"QUESTION": [], "ANSWER": [], "AUTHORITY": [], "ADDITIONAL": []}
    current = None
    for line in text.splitlines():
        if heading := _HEADING.match(line):
            current = heading[1]
        elif not line or line.startswith(";;"):
            current = None
        elif current and not line.startswith(";"):
            owner, ttl, cls, kind, data = line.split(None, 4)
            assert cls == "IN", line
            sections[current].append(f"{owner} {ttl} {kind} {data}")
    status, flags, size = _STATUS.search(text), _FLAGS.search(text), _SIZE.search(text)
    if not (status and size):
        raise ValueError("no answer in: " + text)
    ede = [(int(code), said) for code, said in _EDE.findall(text)]
    return Answer(status[1], flags[1].split() if flags else [], sections["ANSWER"],
                  sections["AUTHORITY"], sections["ADDITIONAL"], ede, int(size[1]))
