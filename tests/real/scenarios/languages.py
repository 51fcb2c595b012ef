"""Java's JNDI provider and Node's dns module, each in a program of its own."""

import json
import pathlib

from bed import two
from worlds import A, B, Z, pods, world_a, world_b

CLIENTS = pathlib.Path(__file__).parent.parent / "clients"
S = "default.svc." + Z
# A JVM that compiles its program first is slow to start on a small machine.
JAVA_TIME = 120


def java(bed, check, at):
    name = S.rstrip(".")
    asked = ["SRV", "_demo._tcp.demo-service." + name, "A", "demo-service." + name,
             "AAAA", "demo-service." + name, "TXT", "db." + name, "A", "only-a." + name,
             "A", "no-such." + name]
    code, out, told = bed.run("java", CLIENTS / "Lookup.java", at, *asked, timeout=JAVA_TIME)
    check.that("JNDI: the program ends well", code == 0, told)
    # JDKs differ in how they write IPv6 addresses.
    lines = [line.replace(":0:0:0:0:", "::") for line in out.splitlines()]
    for kind, what, expected in (
        ("SRV", "every pod of both clusters",
         [f"SRV 0 50 8080 {c}-demo-service-0.{S}" for c in "ab"]),
        ("AAAA", "every address", [f"AAAA 2001:db8:{n}::2" for n in (8, 9)]),
        ("TXT", "one TXT", ["TXT replicaSet=rs0&authSource=admin"]),
        ("A", "every address, a CNAME followed, and NXDOMAIN",
         ["A 10.8.1.2", "A 10.8.1.3", "A 10.8.5.1", "A 10.9.1.2", "A 10.9.1.3", "A not found"]),
    ):
        check.same(f"JNDI {kind}: {what}",
                   sorted(line for line in lines if line.split()[0] == kind), expected)


def java_many(bed, check, at):
    code, out, told = bed.run("java", CLIENTS / "Lookup.java", at, "A", "many." + S.rstrip("."),
                              timeout=JAVA_TIME)
    check.same("JNDI: 120 addresses, over TCP after TC", (code, len(set(out.split("\n")) - {""})),
               (0, 120))


def node(bed, check, at):
    name = S.rstrip(".")
    code, out, told = bed.run("node", CLIENTS / "lookup.js", at, name)
    if code != 0:
        check.fail("c-ares: the program ends well", told)
        return
    found = json.loads(out)
    check.same("c-ares: SRV", sorted(record["name"] for record in found["srv"]),
               [f"{c}-demo-service-0.{name}" for c in "ab"])
    check.same("c-ares: SRV numbers",
               {(r["port"], r["priority"], r["weight"]) for r in found["srv"]}, {(8080, 0, 50)})
    check.same("c-ares: A with TTL", sorted((r["address"], r["ttl"]) for r in found["a"]),
               [(ip, 30) for ip in ("10.8.1.2", "10.8.1.3", "10.9.1.2", "10.9.1.3")])
    for key, what, expected in (
        ("aaaa", "AAAA", ["2001:db8:8::2", "2001:db8:9::2"]),
        ("txt", "TXT once", [["replicaSet=rs0&authSource=admin"]]),
        ("cname", "CNAME", ["a-web." + name]),
        ("chain", "A through a CNAME", ["10.8.5.1"]),
        ("alias", "A through flattened CNAMEs", ["10.8.5.1", "10.9.5.1"]),
    ):
        check.same(f"c-ares: {what}", sorted(found[key]), expected)
    check.same("c-ares: MX", sorted((r["priority"], r["exchange"]) for r in found["mx"]),
               [(10, f"{c}-mx.{name}") for c in "ab"])
    check.same("c-ares: 120 addresses, over TCP after TC", found["many"], 120)
    check.same("c-ares: NXDOMAIN and NODATA", (found["missing"], found["empty"]),
               ("ENOTFOUND", "ENODATA"))


def with_pods(world, suffix, net):
    """The world, and 60 pods more."""
    service = pods(suffix, net).split("few-0", 1)[1].split("\n", 1)[1]
    return world + service


def run(bed, check):
    a = bed.knot({A: with_pods(world_a(), A, "10.8")})
    b = bed.knot({B: with_pods(world_b(), B, "10.9")})
    daemon = bed.gathersrv(*two(a, b))
    java(bed, check, daemon.at)
    java_many(bed, check, daemon.at)
    node(bed, check, daemon.at)
