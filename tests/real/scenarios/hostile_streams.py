"""Streams that are not what a stream should be. Each takes the daemon and an
address of 127/8 to come from, and returns None or what was wrong.

Nothing here depends on how long an idle connection or half a frame lives, only
on that it does not live for ever.
"""

import socket
import struct
import threading
import time

import ask

NAME = "web.distributed.local."

# Seconds after which whatever is idle, half or unread is closed at the latest.
PATIENCE = 25


def connect(daemon, source, timeout=ask.TIMEOUT, unread=None):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if unread:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, unread)
    sock.settimeout(timeout)
    sock.bind((source, 0))
    sock.connect((daemon.host, daemon.port))
    return sock


def frame(wire):
    return struct.pack("!H", len(wire)) + wire


def query(number=1, name=NAME, kind="A"):
    return frame(ask.query(name, kind, id=number).to_wire())


def reply(file):
    (size,) = struct.unpack("!H", file.read(2))
    return ask.read(file.read(size))


def is_good(answer):
    return None if (answer.rcode, len(answer.answer)) == ("NOERROR", 2) else repr(answer)


def closed(sock):
    """None if the other side closes without another octet."""
    try:
        rest = sock.recv(65535)
    except ConnectionResetError:
        return None
    except TimeoutError:
        return "it is not closed"
    return None if rest == b"" else f"it says {rest.hex()}"


def empty_frames(daemon, source):
    with connect(daemon, source) as sock:
        sock.sendall(b"\0\0" * 1000 + query())
        return is_good(reply(sock.makefile("rb")))


def octet_by_octet(daemon, source):
    with connect(daemon, source) as sock:
        for octet in query():
            sock.sendall(bytes([octet]))
            time.sleep(0.02)
        return is_good(reply(sock.makefile("rb")))


def closed_before(daemon, source):
    with connect(daemon, source) as sock:
        sock.shutdown(socket.SHUT_WR)
        return closed(sock)


def closed_behind(daemon, source):
    with connect(daemon, source) as sock:
        sock.sendall(query())
        sock.shutdown(socket.SHUT_WR)
        file = sock.makefile("rb")
        return is_good(reply(file)) or ("it says more" if file.read() else None)


def closed_inside(daemon, source):
    with connect(daemon, source) as sock:
        sock.sendall(query()[:20])
        sock.shutdown(socket.SHUT_WR)
        return closed(sock)


def promised_only(daemon, source):
    with connect(daemon, source, PATIENCE) as sock:
        sock.sendall(b"\xff\xff")
        return closed(sock)


def length_only_half(daemon, source):
    with connect(daemon, source, PATIENCE) as sock:
        sock.sendall(b"\0")
        return closed(sock)


def largest_frame(daemon, source):
    with connect(daemon, source) as sock:
        sock.sendall(frame(bytes(65535)) + query())
        file = sock.makefile("rb")
        first = reply(file)
        if first.rcode != "FORMERR":
            return repr(first)
        return is_good(reply(file))


def pipelined(daemon, source):
    with connect(daemon, source) as sock:
        wires = b"".join(query(n) for n in range(1000))
        sender = threading.Thread(target=sock.sendall, args=(wires,), daemon=True)
        sender.start()
        file = sock.makefile("rb")
        seen = set()
        for _ in range(1000):
            (size,) = struct.unpack("!H", file.read(2))
            wire = file.read(size)
            if wrong := is_good(ask.read(wire)):
                return wrong
            seen.add(wire[:2])
        return None if len(seen) == 1000 else f"{len(seen)} different answers"


def idle(daemon, sources):
    """100 connections from each address, which say nothing, and one that asks."""
    held = []
    try:
        for source in sources:
            held += [connect(daemon, source) for _ in range(100)]
        with connect(daemon, sources[0].rsplit(".", 1)[0] + ".250") as sock:
            sock.sendall(query())
            return is_good(reply(sock.makefile("rb")))
    finally:
        for sock in held:
            sock.close()


def idle_from_three(daemon, source):
    front = source.rsplit(".", 1)[0]
    return idle(daemon, [f"{front}.{n}" for n in (101, 102, 103)])


def idle_from_one(daemon, source):
    return idle(daemon, [source] * 3)


def resident(daemon):
    with open(f"/proc/{daemon.child.pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmRSS")]
    return int(line.split()[1])


def never_read(daemon, source):
    """Asks for what is large until nobody takes it any more."""
    before = resident(daemon)
    with connect(daemon, source, 0.5, unread=4096) as sock:
        wires = b"".join(query(n, "big.distributed.local.", "TXT") for n in range(1000))
        end, ended = time.monotonic() + PATIENCE, False
        while time.monotonic() < end and not ended:
            try:
                sock.send(wires)
            except TimeoutError:
                pass
            except OSError:
                ended = True
    if not ended:
        return "it is not closed"
    grown = resident(daemon) - before
    return None if grown < 64 * 1024 else f"the daemon has grown by {grown} KiB"


def reset(daemon, source):
    """Asks and resets the connection before the answer, many times."""
    for n in range(200):
        with connect(daemon, source) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.sendall(query(n))
    with connect(daemon, source) as sock:
        sock.sendall(query())
        return is_good(reply(sock.makefile("rb")))


def another_protocol(daemon, source):
    """`GE` is a length of 18,245 octets; the rest never comes."""
    with connect(daemon, source, PATIENCE) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: dns\r\n\r\n")
        return closed(sock)


# Name, reaction, source, and how it is played.
ALL = [
    ("a thousand frames of no octets", "ignored", "RFC 1035, 4.2.2", empty_frames),
    ("a frame octet by octet", "answered", "RFC 7766, 8", octet_by_octet),
    ("half closed before a question", "closed", "RFC 7766, 6.2.4", closed_before),
    ("half closed behind a question", "answered, then closed", "RFC 7766, 6.2.4", closed_behind),
    ("half closed inside a frame", "closed", "RFC 7766, 8", closed_inside),
    ("a length of ffff, and silence", "closed", "RFC 7766, 6.2.3", promised_only),
    ("half a length, and silence", "closed", "RFC 7766, 6.2.3", length_only_half),
    ("another protocol", "closed", "RFC 7766, 6.2.3", another_protocol),
    ("the largest frame, of zeroes", "FORMERR, and goes on", "RFC 1035, 4.2.2", largest_frame),
    ("a thousand pipelined queries", "each answered", "CVE-2019-6477", pipelined),
    ("300 idle connections from three addresses", "others are served", "CVE-2018-5743",
     idle_from_three),
    ("300 idle connections from one address", "others are served", "CVE-2018-5743", idle_from_one),
    ("a client that never reads its answers", "closed, and no memory lost", "RFC 7766, 6.2.3",
     never_read),
    ("two hundred connections reset with a question in flight", "the next is served",
     "RFC 7766, 6.2.4", reset),
]
