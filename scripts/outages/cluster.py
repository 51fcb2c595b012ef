"""A cluster's DNS server, which falls silent on command.

What there is depends on the first label that does not begin with `_`, so that a
story chooses by the names it asks for:

    v4-*, mongo-*, member-*, target-*, pod-*, a-thing-*    one A record
    long-*       one A record with a TTL that outlasts a flood
    srv-*        two SRV records with targets mongo-0 and mongo-1 below the name,
                 and the targets' addresses in the additional section
    many120-*    that many SRV records; truncated to nothing over UDP
    alias-*      a CNAME to target-* in the cluster's own suffix
    no label     NODATA, whatever the type
    other names  NXDOMAIN

Every address depends on the cluster and the name, so that a wrong one is noticed.
"""

import contextlib
import re
import socket
import struct
import threading
import zlib

from . import wire

# Long enough for the answer cache to share what is asked at once, short enough
# for a story to wait until only last good answers are left.
TTL_SECONDS = 1
LONG_TTL_SECONDS = 20
ADDRESS_KINDS = {"v4", "long", "mongo", "member", "target", "pod"}
MANY = re.compile(r"many(\d+)")


class Cluster:
    """The server of `cluster-LETTER.local.`, on one loopback port over UDP and TCP."""

    def __init__(self, stack, letter):
        self.letter = letter
        self.suffix = f"cluster-{letter}.local"
        self.suffix_wire = wire.encode_name(self.suffix)
        self.is_silent = False
        rdata = wire.encode_name(f"ns.{self.suffix}") + wire.encode_name(f"admin.{self.suffix}")
        rdata += struct.pack("!5I", 1, 7200, 1800, 86400, TTL_SECONDS)
        self.soa = wire.encode_record(self.suffix_wire, wire.SOA, TTL_SECONDS, rdata)
        self.udp, self.tcp = bind_both()
        self.port = self.udp.getsockname()[1]
        for opened in (self.udp, self.tcp):
            stack.callback(opened.close)
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def address(self, name):
        """The address that this cluster has for a name, by its first label."""
        number = zlib.crc32(name.split(".")[0].encode()) & 0xFFFF
        return bytes([10, ord(self.letter)]) + number.to_bytes(2, "big")

    def serve_udp(self):
        while True:
            try:
                packet, client = self.udp.recvfrom(4096)
            except OSError:
                return
            if not self.is_silent:
                with contextlib.suppress(OSError):
                    self.udp.sendto(self.respond(packet, wire.EDNS_SIZE), client)

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_connection, args=(connection,), daemon=True).start()

    def serve_connection(self, connection):
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
            while prefix := stream.read(2):
                packet = stream.read(int.from_bytes(prefix, "big"))
                if not self.is_silent:
                    response = self.respond(packet, 65535)
                    connection.sendall(len(response).to_bytes(2, "big") + response)

    def respond(self, packet, limit):
        """The response to a query, of at most `limit` octets."""
        name, end = wire.decode_name(packet, wire.HEADER.size)
        ident, flags = struct.unpack_from("!HH", packet)
        rtype = struct.unpack_from("!H", packet, end)[0]
        question = packet[wire.HEADER.size:end + 4]
        rcode, answer, additional = self.look_up(name, rtype)
        has_data = any(kind == rtype for kind, _ in answer)
        records = b"".join(record for _, record in answer)
        if not has_data:
            records += self.soa
        records += b"".join(additional)
        flags = wire.QR | wire.AA | flags & (wire.RD | wire.CD) | rcode
        if wire.HEADER.size + len(question) + len(records) > limit:
            return wire.HEADER.pack(ident, flags | wire.TC, 1, 0, 0, 0) + question
        counts = (1, len(answer), 0 if has_data else 1, len(additional))
        return wire.HEADER.pack(ident, flags, *counts) + question + records

    def look_up(self, name, rtype):
        """The rcode, the answer's types and records, and the additional records."""
        inside = name.removesuffix(self.suffix).rstrip(".")
        labels = [label for label in inside.split(".") if label and not label.startswith("_")]
        if not labels:
            return wire.NOERROR, [], []
        label, kind = labels[0], labels[0].split("-")[0]
        below = ".".join(labels)
        if kind in ADDRESS_KINDS or label.startswith("a-thing-"):
            ttl = LONG_TTL_SECONDS if kind == "long" else TTL_SECONDS
            own = self.record(wire.QUESTION_NAME, wire.A, self.address(label), ttl)
            return wire.NOERROR, [own] if rtype == wire.A else [], []
        if kind == "srv":
            return self.service([f"mongo-{n}.{below}" for n in range(2)], rtype, True)
        if many := MANY.fullmatch(kind):
            rest = ".".join(labels[1:])
            members = [f"member-{n:06}.{rest}" for n in range(int(many[1]))]
            return self.service(members, rtype, False)
        if kind == "alias":
            target = below.replace("alias", "target", 1)
            owner = wire.encode_name(f"{target}.{self.suffix}")
            answer = [self.record(wire.QUESTION_NAME, wire.CNAME, owner)]
            if rtype == wire.A:
                answer.append(self.record(owner, wire.A, self.address(target)))
            return wire.NOERROR, answer, []
        return wire.NXDOMAIN, [], []

    def service(self, targets, rtype, with_addresses):
        """An SRV record for each target, and its address if wanted."""
        if rtype != wire.SRV:
            return wire.NOERROR, [], []
        answer, additional = [], []
        for target in targets:
            owner = wire.encode_name(f"{target}.{self.suffix}")
            rdata = struct.pack("!HHH", 0, 1, 27017) + owner
            answer.append(self.record(wire.QUESTION_NAME, wire.SRV, rdata))
            if with_addresses:
                additional.append(self.record(owner, wire.A, self.address(target))[1])
        return wire.NOERROR, answer, additional

    def record(self, owner, rtype, rdata, ttl=TTL_SECONDS):
        """A record and its type."""
        return rtype, wire.encode_record(owner, rtype, ttl, rdata)


def bind_both():
    """A UDP socket and a listening TCP socket with the same loopback port."""
    for _ in range(20):
        tcp = socket.create_server(("127.0.0.1", 0), backlog=256)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        try:
            udp.bind(tcp.getsockname())
            return udp, tcp
        except OSError:
            tcp.close()
            udp.close()
    raise OSError("no loopback port is free over both UDP and TCP")
