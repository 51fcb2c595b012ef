"""DNS messages, as far as the outage stories need them (RFC 1035).

The scripts need nothing that Python does not bring, so that they run on a bare
machine. Queries always carry an OPT record: without one the daemon could not
say by an EDE option (RFC 8914) what is stale or left out.
"""

import struct
from dataclasses import dataclass, field

A, CNAME, SOA, AAAA, SRV, OPT, HTTPS = 1, 5, 6, 28, 33, 41, 65
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
QR, AA, TC, RD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0010
EDNS_SIZE = 1232
EDE_OPTION = 15
HEADER = struct.Struct("!6H")
# An owner that is a pointer to the question's name, at offset 12.
QUESTION_NAME = b"\xC0\x0C"
# What a record has between its owner and its RDATA: type, class, TTL, length.
RECORD = struct.Struct("!HHIH")


def encode_name(name):
    labels = [label for label in name.encode().split(b".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def encode_query(ident, name, rtype, cd=False):
    header = HEADER.pack(ident, RD | (CD if cd else 0), 1, 0, 0, 1)
    question = encode_name(name) + struct.pack("!HH", rtype, 1)
    return header + question + b"\0" + RECORD.pack(OPT, EDNS_SIZE, 0, 0)


def encode_record(owner, rtype, ttl, rdata):
    """One record; `owner` is encoded already."""
    return owner + RECORD.pack(rtype, 1, ttl, len(rdata)) + rdata


def decode_name(packet, offset):
    """The name at `offset`, and the offset after it."""
    labels, after, steps = [], None, 0
    while True:
        length = packet[offset]
        if length >= 0xC0:
            steps += 1
            if steps > 64:
                raise ValueError("a loop of compression pointers")
            after = after or offset + 2
            offset = struct.unpack_from("!H", packet, offset)[0] & 0x3FFF
        elif length:
            labels.append(packet[offset + 1:offset + 1 + length].decode("latin-1").lower())
            offset += 1 + length
        else:
            return ".".join(labels), after or offset + 1


@dataclass(frozen=True)
class Record:
    """One record; `value` is an address, a target's name, or the RDATA as it is."""

    owner: str
    rtype: int
    value: object


@dataclass
class Response:
    """What the daemon said."""

    rcode: int
    truncated: bool
    answer: list = field(default_factory=list)
    ede: set = field(default_factory=set)

    def content(self):
        """What clients act on: the rcode and the records, without TTLs."""
        return self.rcode, frozenset(self.answer)

    def values(self, rtype):
        return [record.value for record in self.answer if record.rtype == rtype]


def decode_response(packet):
    _, flags, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
    response = Response(flags & 0xF, bool(flags & TC))
    offset = HEADER.size
    for _ in range(questions):
        offset = decode_name(packet, offset)[1] + 4
    for index in range(answers + authorities + additionals):
        owner, offset = decode_name(packet, offset)
        rtype, _, _, length = RECORD.unpack_from(packet, offset)
        offset += RECORD.size
        if rtype == OPT:
            response.ede |= set(ede_codes(packet[offset:offset + length]))
        elif index < answers:
            value = decode_value(packet, rtype, offset, length)
            response.answer.append(Record(owner, rtype, value))
        offset += length
    return response


def decode_value(packet, rtype, offset, length):
    """RDATA as `Record` holds it."""
    if rtype == CNAME:
        return decode_name(packet, offset)[0]
    if rtype == SRV:
        return decode_name(packet, offset + 6)[0]
    rdata = packet[offset:offset + length]
    return dotted(rdata) if rtype == A else rdata


def dotted(address):
    return ".".join(map(str, address))


def ede_codes(options):
    """The codes of the EDE options among the options of an OPT record."""
    while len(options) >= 4:
        code, length = struct.unpack_from("!HH", options)
        if code == EDE_OPTION:
            yield struct.unpack_from("!H", options, 4)[0]
        options = options[4 + length:]
