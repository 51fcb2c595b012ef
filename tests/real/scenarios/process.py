"""The daemon as a process: start lines, exit codes, signals, listeners."""

import concurrent.futures
import signal
import socket
import time

import ask
from bed import LOOPBACK, free_port, two
from worlds import A, B, Z, seed
from .seed import ANSWER, QUESTION, WHOLE, shape


def starting(bed, check, a, b, other):
    daemon = bed.gathersrv(*two(a, b), "--forward", f". {other.at}")
    check.same("start lines say what is served where, and 'ready' is last", daemon.printed, [
        f"zone {Z} from 2 clusters on {daemon.at} (UDP and TCP)",
        f"  cluster {A} prefix a- at {a.at}",
        f"  cluster {B} prefix b- at {b.at}",
        f"forward . to {other.at}",
        "ready",
    ])
    code, out, told = bed.run(bed.binary, "--listen", daemon.at, *two(a, b))
    check.same("an address in use: exit code 1, nothing on stdout", (code, out), (1, ""))
    check.that("an address in use: stderr names it", daemon.at in told, told)
    check.same("the first daemon goes on", shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)


def wrong_words(bed, check, a, b):
    good = two(a, b)
    for words, told in (
        (["--no-such-flag"], "--no-such-flag"),
        ([*good, "--deadline", "soon"], "--deadline"),
        ([*good, "--listen", "localhost"], "'localhost'"),
        ([*good[:2], "--cluster", f"{A} a-"], "server is missing"),
        ([*good[:2], "--cluster", f"{A} a- nowhere"], "'nowhere'"),
        ([*good, "--cluster", f"c.local. a- {a.at}"], "'a-'"),
        (good[2:], "--zone"),
        ([*good, "--min-clusters", "3"], "--min-clusters"),
        ([*good, "--forward", f"x.{Z} {a.at}"], "never forwarded"),
    ):
        code, out, said = bed.run(bed.binary, *words)
        check.same(f"wrong words {words[-1]!r}: exit code 2, nothing on stdout", (code, out), (2, ""))
        check.that(f"wrong words {words[-1]!r}: stderr says {told}", told in said, said)


def signals(bed, check, a, b):
    for number in (signal.SIGTERM, signal.SIGINT):
        daemon = bed.gathersrv(*two(a, b))
        check.same(f"{number.name} ends it with exit code 0", daemon.end(number), 0)
    daemon = bed.gathersrv(*two(a, bed.silent()), "--on-missing", "partial")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask.ask, daemon, QUESTION, "SRV")
        time.sleep(0.2)
        began = time.monotonic()
        code = daemon.end()
        took = time.monotonic() - began
        check.same("a query in flight is answered before the end",
                   ([line.split()[-1] for line in asked.result().answer], code),
                   ([line.split()[-1] for line in ANSWER[:2]], 0))
    check.that("the end comes with the deadline", took < 2, took)


def others(bed, check):
    code, out, _ = bed.run(bed.binary, "demo", "--once")
    check.same("demo --once shows the page's answer",
               (code, [line for line in ANSWER if line.replace(" 30 ", " 30 IN ") in out]),
               (0, ANSWER))
    code, out, _ = bed.run(bed.binary, "--version")
    check.same("--version: exit code 0", (code, out.startswith("gathersrv ")), (0, True))
    code, out, _ = bed.run(bed.binary, "--help")
    check.same("--help: exit code 0, on stdout", (code, "--cluster" in out), (0, True))


def listeners(bed, check, a, b):
    port = free_port("0.0.0.0")
    daemon = bed.gathersrv(*two(a, b), listen=[f"0.0.0.0:{port}"])
    wire = ask.query(QUESTION, "SRV").to_wire()
    for host in (LOOPBACK, "127.0.0.2", "127.9.8.7"):
        # A connected socket takes answers from the address it asked only.
        got = ask.read(ask.datagram(daemon, wire, host=host))
        check.same(f"a wildcard listener answers from {host}, the address asked", shape(got), WHOLE)
    several = [f"{LOOPBACK}:{free_port()}", f"127.0.0.2:{free_port('127.0.0.2')}"]
    daemon = bed.gathersrv(*two(a, b), listen=several)
    for at in several:
        server = type("At", (), {})
        server.host, server.port = at.split(":")[0], int(at.split(":")[1])
        for tcp in (False, True):
            got = ask.ask(server, QUESTION, "SRV", tcp=tcp)
            check.same(f"each of several listeners answers ({server.host}, tcp={tcp})",
                       shape(got), WHOLE)
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
            port = sock.getsockname()[1]
    except OSError as why:
        check.skip("listening on IPv6", why)
        return
    daemon = bed.gathersrv(*two(a, b), listen=[f"[::]:{port}"])
    got = ask.read(ask.datagram(daemon, wire, host="::1"))
    check.same("an IPv6 wildcard listener answers from the address asked", shape(got), WHOLE)


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    starting(bed, check, a, b, b)
    wrong_words(bed, check, a, b)
    signals(bed, check, a, b)
    others(bed, check)
    listeners(bed, check, a, b)
