"""The part of the glibc scenario that runs inside the namespaces.

Standard addresses and ports are free here: knotd has 10.8.0.1 and 10.9.0.1, the
daemon its defaults, and getent asks as any program of the machine would.
"""

import pathlib
import subprocess
import sys

import ask
from bed import Bed, two
from checks import Checks
from scenarios.languages import with_pods
from worlds import A, B, Z, world_a, world_b

S = "default.svc." + Z
V4 = ["10.8.1.2", "10.8.1.3", "10.9.1.2", "10.9.1.3"]
V6 = ["2001:db8:8::2", "2001:db8:9::2"]


def prepare(bed):
    """Loopback, the clusters' addresses on it, and our /etc/resolv.conf."""
    resolv = bed.dir / "resolv.conf"
    resolv.write_text(f"nameserver 127.0.0.1\nsearch {S}\noptions timeout:2 attempts:2\n")
    nsswitch = bed.dir / "nsswitch.conf"
    nsswitch.write_text("hosts: dns\n")
    for words in (["ip", "link", "set", "lo", "up"],
                  ["ip", "address", "add", "10.8.0.1/32", "dev", "lo"],
                  ["ip", "address", "add", "10.9.0.1/32", "dev", "lo"]):
        subprocess.run(words, check=True, timeout=10)
    # glibc asks for AAAA only where some IPv6 address is not loopback's.
    words = ["ip", "address", "add", "2001:db8:ff::1/128", "dev", "lo", "nodad"]
    has_v6 = subprocess.run(words, capture_output=True, timeout=10).returncode == 0
    for file, place in ((resolv, "/etc/resolv.conf"), (nsswitch, "/etc/nsswitch.conf")):
        if pathlib.Path(place).exists():
            subprocess.run(["mount", "--bind", file, place], check=True, timeout=10)
    return has_v6


def getent(bed, *words):
    """Exit code, addresses, and the canonical name in the first line."""
    code, out, _ = bed.run("getent", *words)
    rows = [line.split() for line in out.splitlines()]
    return code, sorted({row[0] for row in rows}), rows[0][2:] if rows else []


def examine(bed, check, has_v6):
    v6 = V6 if has_v6 else []
    name = "demo-service." + S.rstrip(".")
    code, found, _ = getent(bed, "ahosts", name)
    check.same("glibc: getent ahosts, both families, A and AAAA at once", (code, found),
               (0, sorted(V4 + v6)))
    check.same("glibc: getent ahostsv4", getent(bed, "ahostsv4", name)[:2], (0, V4))
    check.same("glibc: getent ahosts with the search list",
               getent(bed, "ahosts", "demo-service")[:2], (0, sorted(V4 + v6)))
    check.same("glibc: one pod", getent(bed, "ahosts", "b-demo-service-0." + S)[:2],
               (0, ["10.9.1.2", *v6[1:]]))
    check.same("glibc: through a CNAME, with the canonical name",
               getent(bed, "ahostsv4", "only-a." + S.rstrip(".")),
               (0, ["10.8.5.1"], ["a-web." + S.rstrip(".")]))
    check.same("glibc: through flattened CNAMEs", getent(bed, "ahostsv4", "alias." + S)[:2],
               (0, ["10.8.5.1", "10.9.5.1"]))
    check.same("glibc: 120 addresses, over TCP after TC",
               getent(bed, "ahostsv4", "many." + S)[:2],
               (0, sorted(f"10.{net}.11.{n}" for net in (8, 9) for n in range(60))))
    check.same("glibc: no such name", getent(bed, "ahosts", "no-such." + S)[:2], (2, []))


def main():
    check = Checks()
    with Bed(sys.argv[1]) as bed:
        has_v6 = prepare(bed)
        bed.knot({A: with_pods(world_a(), A, "10.8")}, host="10.8.0.1", port=53)
        bed.knot({B: with_pods(world_b(), B, "10.9")}, host="10.9.0.1", port=53)
        words = two("10.8.0.1", "10.9.0.1:53")
        daemon = bed.gathersrv(*words, listen=[])
        check.same("the default listeners are loopback's, on port 53",
                   (daemon.host, daemon.port), ("127.0.0.1", 53))
        examine(bed, check, has_v6)
        both = bed.gathersrv(*words, listen=["0.0.0.0:5353"])
        wire = ask.query("demo-service." + S, "A").to_wire()
        for host in ("10.8.0.1", "10.9.0.1"):
            got = ask.read(ask.datagram(both, wire, host=host))
            check.same(f"a wildcard listener answers from {host}, one of several addresses",
                       [line.split()[-1] for line in got.answer], V4)
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
