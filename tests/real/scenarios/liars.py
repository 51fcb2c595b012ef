"""A cluster, a forward and strangers that lie to the built daemon, with dnsmasq
in front: what was found from outside once, and is not to come back (R7, Q6, Q7).

Also: memory under a flood of long names with eight silent clusters, and the
warning about an open resolver."""

import re
import socket
import subprocess
import threading
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

import ask
from bed import LOOPBACK, die_with_parent, free_port, two
from worlds import A, B, Z, seed

LIE = "6.6.6.6"
POD = "demo-service-0.default.svc."
SERVICE = "_demo._tcp.demo-service.default.svc."


class Fake:
    """A name server that answers what `say` makes of a query, over UDP."""

    def __init__(self, bed, say):
        self.say = say
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((LOOPBACK, 0))
        bed.sockets.append(self.udp)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def at(self):
        return f"{LOOPBACK}:{self.udp.getsockname()[1]}"

    def _serve(self):
        while True:
            try:
                wire, client = self.udp.recvfrom(4096)
            except OSError:
                return
            query = dns.message.from_wire(wire)
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.AA
            self.say(query, reply)
            self.udp.sendto(reply.to_wire(), client)


def push(section, line):
    owner, ttl, kind, data = line.split(" ", 3)
    section.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, data))


def lying_cluster(query, reply):
    """What it says of its own is true; the rest is of others."""
    name = query.question[0].name.to_text()
    for line in (f"{B} 86400 DNAME evil.example.", "com. 86400 DNAME evil.example.",
                 f"{Z} 86400 DNAME evil.example."):
        push(reply.answer, line)
    if name.startswith("chain."):
        push(reply.answer, f"{name} 86400 CNAME {POD}{B}")
        push(reply.answer, f"{POD}{B} 86400 A {LIE}")
    elif name.startswith("_demo."):
        push(reply.answer, f"{name} 60 SRV 0 50 80 {POD}{A}")
        push(reply.additional, f"{POD}{A} 60 A 10.8.1.2")
    else:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    for owner in (POD + B, "b-" + POD + Z, POD + Z):
        push(reply.additional, f"{owner} 86400 A {LIE}")
        push(reply.authority, f"{owner} 86400 NS evil.example.")


def cluster_that_lies(bed, check):
    a, b = Fake(bed, lying_cluster), bed.knot({B: seed(B, "10.9")})
    daemon = bed.gathersrv(*two(a, b), "--cache", "100")
    front = free_port()
    config = bed.dir / "dnsmasq.conf"
    config.write_text(f"listen-address={LOOPBACK}\nport={front}\nbind-interfaces\nno-resolv\n"
                      f"no-hosts\nserver=/{Z}/{LOOPBACK}#{daemon.port}\nuser=\n"
                      f"pid-file={bed.dir}/pid\n")
    dnsmasq = bed.server(["dnsmasq", "--keep-in-foreground", "-C", config], front)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            ask.datagram(dnsmasq, ask.query(SERVICE + Z, "SRV").to_wire(), 0.5)
            break
        except OSError:
            time.sleep(0.05)
    # The lies first, so that whatever keeps them has them.
    chain = ask.ask(dnsmasq, "chain.default.svc." + Z, "A")
    check.same("R7 a CNAME into another cluster ends in what that cluster says",
               sorted(line.split()[-1] for line in chain.answer if " A " in line), ["10.9.1.2"])
    services = ask.ask(dnsmasq, SERVICE + Z, "SRV")
    check.that("R7 its own services are given", any(f"a-{POD}" in line for line in services.answer),
               services)
    for name in ("b-" + POD + Z, "chain.default.svc." + Z, "_x._tcp." + Z):
        for server, what in ((dnsmasq, "dnsmasq in front"), (daemon, "the daemon")):
            got = ask.ask(server, name, "A")
            said = [*got.answer, *got.authority, *got.additional]
            check.that(f"R7 {what} has nothing that it said of others: {name}",
                       not any(LIE in line or "evil" in line for line in said), said)
    got = ask.ask(daemon, "b-" + POD + Z, "A")
    check.same("R7 the other cluster's name is as that cluster has it",
               [line.split()[-1] for line in got.answer], ["10.9.1.2"])


def refusing(query, reply):
    """Nothing for who does not want recursion."""
    if query.flags & dns.flags.RD:
        push(reply.answer, f"{query.question[0].name} 30 A 192.0.2.7")
    else:
        reply.set_rcode(dns.rcode.REFUSED)


def strangers_without_rd(bed, check):
    """One packet with RD clear decides nothing for those with RD set."""
    server = Fake(bed, refusing)
    daemon = bed.gathersrv(*two(server, bed.silent()), "--forward", f". {server.at}")
    found = {}
    for name, what in ((POD + Z, "zone"), ("www.example.", "forward")):
        for round_ in range(40):
            wires = [ask.query(f"{n}-{round_}.{name}", "A", flags=flags).to_wire()
                     for n in ("x", "y") for flags in (0, dns.flags.RD)]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.settimeout(5)
                for wire in wires:
                    udp.sendto(wire, (daemon.host, daemon.port))
                for _ in wires:
                    reply = ask.read(udp.recv(65535))
                    with_rd = "rd" in reply.flags
                    found.setdefault((what, with_rd), set()).add(reply.rcode)
    check.same("Q6 U4 of a forward who has RD set gets the answer, and who has not its refusal; "
               "of a zone both get the answer",
               found, {("zone", False): {"NOERROR"}, ("zone", True): {"NOERROR"},
                       ("forward", False): {"REFUSED"}, ("forward", True): {"NOERROR"}})


def lying_forward(query, reply):
    name = query.question[0].name.to_text()
    push(reply.answer, f"{name} 60 CNAME b-{POD}{Z}")
    push(reply.answer, f"b-{POD}{Z} 86400 A {LIE}")
    push(reply.additional, f"{POD}{Z} 86400 A {LIE}")


def forward_that_lies(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    daemon = bed.gathersrv(*two(a, b), "--forward", f". {Fake(bed, lying_forward).at}")
    for tcp in (False, True):
        got = ask.ask(daemon, "www.example.", "A", tcp=tcp)
        check.same("Q7 a forward's CNAME into the zone ends in our answer"
                   + (", over TCP" if tcp else ""),
                   (got.rcode, [line.split()[-1] for line in got.answer], got.additional),
                   ("NOERROR", [f"b-{POD}{Z}", "10.9.1.2"], []))


def peak(daemon):
    """The most memory that the daemon has had, in MiB."""
    with open(f"/proc/{daemon.child.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) // 1024


def resident(daemon):
    with open(f"/proc/{daemon.child.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) // 1024


def flood(bed, check):
    """Eight silent clusters that nothing takes out, and names of 200 octets that
    nobody has asked for: more than the pod of deploy/kubernetes may have?"""
    words = ["--zone", "z.", "--max-fails", "0", "--workers", "2"]
    for n in range(8):
        words += ["--cluster", f"k{n}. {n}- {bed.silent()}"]
    daemon = bed.gathersrv(*words, "--cache", "10000")
    queries = bed.dir / "long"
    label = "x" * 60
    with open(queries, "w", encoding="ascii") as lines:
        lines.writelines(f"n{n}.{label}.{label}.{label}.z. TXT\n" for n in range(100_000))
    subprocess.run(["dnsperf", "-s", daemon.host, "-p", str(daemon.port), "-d", queries, "-l", "6",
                    "-Q", "16000", "-c", "16", "-q", "60000", "-T", "2"], capture_output=True,
                   check=True, timeout=60, preexec_fn=die_with_parent)
    most = peak(daemon)
    check.that(f"8 silent clusters, long names, a flood: {most} MiB at most, of 256", most < 240)
    time.sleep(3)
    left = resident(daemon)
    check.that(f"and {left} MiB when it is over", left < most * 0.75 or left < 80, (left, most))
    check.that("it still answers", ask.ask(daemon, "z.", "SOA").rcode == "NOERROR")


def open_resolvers(bed, check):
    zone = ("--zone", "z.", "--cluster", "k. a- 10.8.0.1")
    for words, told in ((("--listen", "0.0.0.0", "--forward", ". 10.0.0.1"), "open resolver"),
                        (("--listen", "0.0.0.0"), "anybody may ask"),
                        (("--listen", "0.0.0.0", "--allow", "10.0.0.0/8"), None),
                        (("--listen", "10.1.2.3", "--forward", ". 10.0.0.1"), None)):
        code, out, err = bed.run(bed.binary, "check", *zone, *words)
        warned = [line for line in (out + err).splitlines() if "warning" in line]
        right = not warned if told is None else any(told in line for line in warned)
        check.that(f"check {' '.join(words)}: {told or 'no warning'}", code == 0 and right, out + err)


def run(bed, check):
    cluster_that_lies(bed, check)
    strangers_without_rd(bed, check)
    forward_that_lies(bed, check)
    open_resolvers(bed, check)
    flood(bed, check)
