"""Sizes, EDNS, TCP and broken packets: rules T, over sockets of our own."""

import concurrent.futures
import time

import dns.edns
import dns.flags
import dns.message

import ask
from bed import two
from worlds import A, B, Z, pods

S = "default.svc." + Z
MANY = "_big._tcp.many." + S
SOME = "_big._tcp.some." + S
FEW = "few." + S


def of_service(name, label, count):
    return [f"{name} 30 SRV 0 50 27017 {c}-{label}-{n}.{S}" for c in "ab" for n in range(count)]


def sizes(bed, check, a, b, daemon):
    source = ask.ask(a, "_big._tcp.many.default.svc." + A, "SRV")
    check.that("(a cluster truncates over UDP)", "tc" in source.flags, source.flags)
    whole = ask.ask(daemon, MANY, "SRV", tcp=True)
    check.same("T2 T4 truncated clusters are asked over TCP, and TCP gives all",
               (whole.rcode, sorted(whole.answer), "tc" in whole.flags, whole.ede),
               ("NOERROR", sorted(of_service(MANY, "many", 60)), False, []))
    check.same("M8 with every pod's address", sorted(whole.additional),
               sorted(f"{c}-many-{n}.{S} 30 A 10.{net}.11.{n}"
                      for c, net in (("a", 8), ("b", 9)) for n in range(60)))
    for announced, bound in ((None, 512), (100, 512), (512, 512), (800, 800), (1232, 1232),
                             (4096, 1232)):
        more = {"use_edns": False} if announced is None else {"payload": announced}
        got = ask.ask(daemon, MANY, "SRV", **more)
        check.that(f"T1 announced {announced}: at most {bound} octets", got.size <= bound, got.size)
        # K9: each cluster's first records, in turn, so that shares differ by one.
        half = {"a": -(-len(got.answer) // 2), "b": len(got.answer) // 2}
        fair = [record for c, count in half.items()
                for record in [r for r in whole.answer if f" {c}-" in r][:count]]
        check.same(f"T1 K9 announced {announced}: TC, and whole records of both clusters",
                   ("tc" in got.flags, got.answer, got.additional), (True, fair, []))
        check.that(f"T1 announced {announced}: as many as fit",
                   len(got.answer) >= 4 and got.size > bound - 80, got.size)
    got = ask.ask(daemon, SOME, "SRV")
    first = [[line for line in got.additional if line.startswith(c)] for c in ("a-", "b-")]
    check.same("T1 additional records go first, without TC",
               ("tc" in got.flags, got.answer), (False, of_service(SOME, "some", 8)))
    check.that("T1 no cluster loses all its addresses, and some did go",
               first[0] and first[1] and len(got.additional) < 16, got.additional)
    large = bed.gathersrv(*two(a, b), "--max-udp-payload", "4096")
    got = ask.ask(large, "many." + S, "A", payload=4096)
    check.same("T1 --max-udp-payload 4096: 120 addresses in a datagram",
               ("tc" in got.flags, len(set(got.answer)), got.edns), (False, 120, 4096))
    got = ask.ask(large, "many." + S, "A", payload=1232)
    check.same("T1 the client's size counts if it is the smaller",
               ("tc" in got.flags, got.size <= 1232), (True, True))
    empty = bed.gathersrv(*two(a, b), "--truncated", "empty")
    got = ask.ask(empty, MANY, "SRV")
    check.same("T1 --truncated empty: TC and no record",
               ("tc" in got.flags, got.answer, got.additional), (True, [], []))


def edns(check, daemon):
    got = ask.ask(daemon, FEW, "A", use_edns=False)
    check.same("T3 no OPT in, none out", got.edns, None)
    got = ask.ask(daemon, "www.example.net.", "A", use_edns=False)
    check.same("T3 no OPT in, no EDE", (got.rcode, got.edns, got.ede), ("REFUSED", None, []))
    got = ask.ask(daemon, FEW, "A")
    check.same("T3 OPT in, OPT out, our size", got.edns, 1232)
    got = ask.ask(daemon, FEW, "A", use_edns=1)
    check.same("T3 EDNS version 1: BADVERS", (got.rcode, got.answer), ("BADVERS", []))
    options = [dns.edns.GenericOption(65001, b"\xab\xcd"), dns.edns.GenericOption(10, b"12345678")]
    got = ask.ask(daemon, FEW, "A", options=options)
    check.same("T3 options are not echoed, but a cookie is answered (RFC 7873)",
               (got.rcode, got.options), ("NOERROR", [10]))
    opt = b"\0\0\x29\x04\xd0" + bytes(6)
    wire = bytearray(ask.query(FEW, "A").to_wire())
    two_opts = bytes(wire[:11]) + b"\x02" + bytes(wire[12:]) + opt
    reply = ask.datagram(daemon, two_opts)
    check.same("T3 two OPT records: FORMERR", (reply[:2], reply[3] & 15), (two_opts[:2], 1))
    bad = bytes(wire[:-2]) + b"\x00\x05" + b"\xfd\xe9\x00\x09x"
    reply = ask.datagram(daemon, bad)
    check.same("T3 a malformed OPT: FORMERR", (reply[:2], reply[3] & 15), (bad[:2], 1))


def packets(check, daemon):
    good = ask.query(FEW, "A").to_wire()
    header = good[:12]
    for name, wire in (("a header alone", header),
                       ("half a question", good[:20]),
                       ("a label of 64 octets", header + b"\x40" + bytes(80)),
                       ("a pointer loop", header + b"\xc0\x0c\0\x01\0\x01"),
                       ("two questions", header[:5] + b"\x02" + good[6:12] + good[12:])):
        reply = ask.datagram(daemon, wire)
        check.same(f"T5 {name}: FORMERR", (reply[:2], reply[2] >> 7, reply[3] & 15),
                   (wire[:2], 1, 1))
    answer = good[:2] + bytes([good[2] | 0x80]) + good[3:]
    check.same("T5 a datagram with QR set gets no answer", ask.datagrams(daemon, answer, 0.5), [])
    check.same("T5 eleven octets get no answer", ask.datagrams(daemon, good[:11], 0.2), [])
    check.same("T5 an empty datagram gets no answer", ask.datagrams(daemon, b"", 0.2), [])


def streams(check, daemon):
    wires = [ask.query(f"a-many-{n}.{S}", "A", id=n + 1).to_wire() for n in range(50)]
    replies = [ask.read(wire) for wire in ask.stream(daemon, wires)]
    check.same("T4 fifty pipelined queries on one connection, each with its own answer",
               sorted(line for reply in replies for line in reply.answer),
               sorted(f"a-many-{n}.{S} 30 A 10.8.11.{n}" for n in range(50)))
    udp, tcp = ask.ask(daemon, FEW, "A"), ask.ask(daemon, FEW, "A", tcp=True)
    check.same("T4 the same answer over UDP and TCP", repr(udp), repr(tcp))


def one_answer_each(bed, check, a, daemon):
    """Every kind of question, well and ill, waited for past the deadline."""
    half = bed.gathersrv(*two(a, bed.silent()), "--on-missing", "partial")
    none = bed.gathersrv(*two(bed.silent(), bed.silent()))
    asked = [(daemon, FEW, "A"), (daemon, MANY, "SRV"), (daemon, "no." + S, "A"), (daemon, Z, "SOA"),
             (daemon, "www.example.net.", "A"), (daemon, FEW, "ANY"), (daemon, FEW, "AXFR"),
             (half, FEW, "A"), (half, "no." + S, "A"), (none, FEW, "A"), (none, MANY, "SRV")]

    def count(what):
        server, name, kind = what
        return len(ask.datagrams(server, ask.query(name, kind).to_wire(), 1.5))

    with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
        counts = list(pool.map(count, asked))
    check.same("T5 exactly one answer to each query", counts, [1] * len(asked))
    began = time.monotonic()
    got = ask.ask(none, "late." + S, "A")
    took = time.monotonic() - began
    check.that("T5 with nobody there, an answer within 800 ms", got.rcode == "SERVFAIL"
               and took < 0.95, f"{got.rcode} after {took:.3f} s")
    quick = bed.gathersrv(*two(a, bed.silent()), "--deadline", "200ms")
    began = time.monotonic()
    got = ask.ask(quick, "few-0." + S, "A")
    took = time.monotonic() - began
    check.that("T5 --deadline 200ms is kept", len(got.answer) == 1 and took < 0.35,
               f"{got} after {took:.3f} s")


def run(bed, check):
    def server(suffix, net):
        return bed.knot({suffix: pods(suffix, net)})

    a, b = server(A, "10.8"), server(B, "10.9")
    daemon = bed.gathersrv(*two(a, b))
    sizes(bed, check, a, b, daemon)
    edns(check, daemon)
    packets(check, daemon)
    streams(check, daemon)
    one_answer_each(bed, check, a, daemon)
