"""The part of the `neighbours` scenario that runs inside the namespace.

A veth pair is the link. Frames are put in at its far end, from addresses where
nobody is; the kernel looks for those when the daemon answers, and keeps what it
sent for seconds. A client on loopback asks the same listener all the while.
"""

import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time

import ask
from bed import Bed, two
from checks import Checks
from worlds import A, B, Z, seed

NAME = "demo-service-0.default.svc." + Z
HOST, LINK = "192.0.2.1", "192.0.2."
SECONDS = 8
RATE = 600


def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Strangers(threading.Thread):
    """Queries from ten addresses of the link where nobody is."""

    def __init__(self, port, mac):
        super().__init__(daemon=True)
        self.port, self.mac, self.sent, self.stop = port, mac, 0, False

    def run(self):
        far = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        far.bind(("far", 0))
        query = ask.query(NAME, "A").to_wire()
        while not self.stop:
            source = socket.inet_aton(LINK + str(random.randrange(100, 110)))
            length = 8 + len(query)
            udp = struct.pack("!HHHH", random.randrange(1024, 65536), self.port, length, 0) + query
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 17, 0)
            ip += source + socket.inet_aton(HOST)
            ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
            far.send(self.mac + b"\2\0\0\0\0\1" + b"\x08\0" + ip + udp)
            self.sent += 1
            time.sleep(1 / RATE)


def probe(daemon, seconds, cookie):
    """How many of a hundred questions a second are answered within half a second,
    and how long the slowest took."""
    answered = asked = 0
    slowest = 0
    end = time.monotonic() + seconds
    shown = os.urandom(8)
    while time.monotonic() < end:
        options = [ask.cookie(shown)] if cookie else []
        wire = ask.query(NAME, "A", options=options).to_wire()
        began = time.monotonic()
        try:
            reply = ask.datagram(daemon, wire, 0.5)
        except OSError:
            pass
        else:
            answered += 1
            slowest = max(slowest, time.monotonic() - began)
            if cookie:
                shown = ask.cookie_in(reply) or shown
        asked += 1
        time.sleep(0.01)
    return answered, asked, slowest


def main():
    for words in ("link set lo up", "link add near type veth peer name far",
                  f"address add {HOST}/24 dev near", "link set near up", "link set far up"):
        subprocess.run(["ip", *words.split()], check=True, timeout=10)
    told = subprocess.run(["ip", "-o", "link", "show", "near"], check=True, timeout=10,
                          capture_output=True, text=True).stdout
    mac = bytes.fromhex(re.search(r"link/ether (\S+)", told)[1].replace(":", ""))
    check = Checks()
    with Bed(sys.argv[1]) as bed:
        os.chmod(bed.dir, 0o755)
        a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
        daemon = bed.gathersrv(*two(a, b), "--workers", "1", listen=["0.0.0.0:0"])
        strangers = Strangers(daemon.port, mac)
        strangers.start()
        time.sleep(2)
        answered, asked, slowest = probe(daemon, SECONDS, cookie=True)
        strangers.stop = True
        strangers.join(5)
        what = f"{strangers.sent} queries of neighbours that do not exist"
        check.that(f"{what}: who has a cookie gets {answered} answers of {asked}, the slowest in "
                   f"{slowest * 1000:.0f} ms", asked > 100 and answered >= asked - 3)
        time.sleep(4)
        answered, asked, _ = probe(daemon, 1, cookie=False)
        check.that("and when they are gone everybody does", answered == asked, (answered, asked))
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
