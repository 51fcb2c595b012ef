"""The clusters that the scenarios share, as zone texts for knotd."""

from bed import two, zone_text

Z = "distributed.local."
A, B = "cluster-a.local.", "cluster-b.local."

# What only cluster a has, or has otherwise than b.
EXTRA_A = """
only-a.default.svc CNAME web.default.svc
across.default.svc CNAME web.default.svc.cluster-b.local.
lost.default.svc CNAME missing.default.svc
conflict.default.svc CNAME www-a.example.net.
mixed.default.svc CNAME web.default.svc
half.default.svc TXT "only in a"
_gone._tcp.default.svc SRV 0 0 80 web.default.svc
_none._tcp.default.svc SRV 0 0 0 .
"""

EXTRA_B = """
conflict.default.svc CNAME www-b.example.net.
mixed.default.svc A 10.9.7.1
_gone._tcp.default.svc SRV 0 0 0 .
_none._tcp.default.svc SRV 0 0 0 .
a-thing.default.svc A 10.9.8.1
"""

LONG = "l" * 62


def seed(suffix, net):
    return zone_text("seed", suffix=suffix, net=net)


def world_a():
    return zone_text("world", suffix=A, net="10.8", net6="2001:db8:8", negative=5, ttl=60,
                     other=B, long=LONG, extra=EXTRA_A)


def world_b():
    return zone_text("world", suffix=B, net="10.9", net6="2001:db8:9", negative=7, ttl=20,
                     other=A, long=LONG, extra=EXTRA_B)


def pods(suffix, net):
    """Services with 8 and with 60 pods: `some` and `many`."""
    lines = []
    for service, count, subnet in (("some", 8, 10), ("many", 60, 11)):
        for n in range(count):
            host = f"{service}-{n}.default.svc"
            lines.append(f"_big._tcp.{service}.default.svc SRV 0 50 27017 {host}")
            lines.append(f"{host} A {net}.{subnet}.{n}")
            lines.append(f"{service}.default.svc A {net}.{subnet}.{n}")
    return zone_text("pods", suffix=suffix, net=net, pods="\n".join(lines))


def example():
    return zone_text("example", suffix="example.net.")


def start_world(bed, *words):
    """Two knotds with the world's zones, and the daemon in front of them."""
    a, b = bed.knot({A: world_a()}), bed.knot({B: world_b()})
    return a, b, bed.gathersrv(*two(a, b), *words)
