"""Few open files: clients' connections go short, and UDP goes on (T4)."""

import socket
import time

import ask
from bed import two
from worlds import A, B, seed
from .seed import QUESTION, WHOLE, shape

# Connections that clients try to open, and queries over UDP meanwhile: enough
# that every port towards the clusters is replaced several times.
CONNECTIONS, QUERIES = 400, 100_000


def cpu(daemon):
    """Seconds of processor time the daemon has had."""
    with open(f"/proc/{daemon.child.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def crowd(daemon):
    """As many connections as the daemon takes, held open."""
    held = []
    for _ in range(CONNECTIONS):
        try:
            held.append(socket.create_connection((daemon.host, daemon.port), timeout=1))
        except OSError:
            break
    return held


def starve(bed, check, files, told):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    daemon = bed.gathersrv(*two(a, b), under=("prlimit", f"--nofile={files}:{files}"))
    what = f"with {files} open files"
    check.that(f"T4 {what}: the log says what to do", told in daemon.said(), daemon.said())
    held = crowd(daemon)
    check.same(f"T4 {what}, and {len(held)} connections: UDP goes on",
               shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)
    names = bed.dir / "names"
    names.write_text(f"{QUESTION} SRV\n")
    before = cpu(daemon)
    time.sleep(2)
    check.that(f"T4 {what}: it does not spin", cpu(daemon) - before < 0.5, cpu(daemon) - before)
    code, out, err = bed.run("dnsperf", "-s", daemon.host, "-p", daemon.port, "-d", names, "-c", 32,
                             "-q", 100, "-n", QUERIES, "-l", 30, timeout=60)
    lost = next((line.split()[2] for line in out.splitlines() if "Queries lost" in line), out + err)
    check.same(f"T4 {what}: {QUERIES} queries over UDP, none lost", (code, lost), (0, "0"))
    for connection in held:
        connection.close()


def run(bed, check):
    starve(bed, check, 260, "raise the limit")
    starve(bed, check, 90, "leave 0 for connections")
