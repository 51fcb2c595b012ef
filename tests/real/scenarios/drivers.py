"""pymongo and dnspython's stub resolver, pointed at the daemon."""

import dns.resolver
import pymongo.uri_parser

from worlds import Z, start_world

S = "default.svc." + Z


def stub(daemon):
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [daemon.host]
    resolver.port = daemon.port
    resolver.lifetime = 5
    return resolver


def mongo(check, daemon):
    """What a driver does with mongodb+srv: SRV, TXT, and its own checks."""
    before = dns.resolver.default_resolver
    dns.resolver.default_resolver = stub(daemon)
    try:
        found = pymongo.uri_parser.parse_uri(f"mongodb+srv://db.{S.rstrip('.')}/shop")
    finally:
        dns.resolver.default_resolver = before
    hosts = [f"{c}-db-{n}.db.{S.rstrip('.')}" for c in "ab" for n in (0, 1)]
    check.same("pymongo: the nodes of both clusters, under the service's parent domain",
               sorted(found["nodelist"]), [(host, 27017) for host in hosts])
    options = found["options"]
    check.same("M2 pymongo: the options of the one TXT",
               (options.get("replicaSet"), options.get("authSource"), options.get("tls")),
               ("rs0", "admin", True))
    addresses = {host: [str(record) for record in stub(daemon).resolve(host, "A")]
                 for host, _ in found["nodelist"]}
    check.same("pymongo: every node has its address", addresses,
               {f"{c}-db-{n}.db.{S.rstrip('.')}": [f"10.{net}.4.{n + 1}"]
                for c, net in (("a", 8), ("b", 9)) for n in (0, 1)})


def resolver(check, daemon):
    ask = stub(daemon)
    found = ask.resolve("_demo._tcp.demo-service." + S, "SRV")
    check.same("dnspython's resolver: SRV", sorted(str(record) for record in found),
               [f"0 50 8080 {c}-demo-service-0.{S}" for c in "ab"])
    found = ask.resolve_name("demo-service." + S)
    check.same("dnspython's resolver: both families", sorted(found.addresses()),
               ["10.8.1.2", "10.8.1.3", "10.9.1.2", "10.9.1.3", "2001:db8:8::2", "2001:db8:9::2"])
    found = ask.resolve("only-a." + S, "A")
    check.same("dnspython's resolver: through a CNAME",
               (str(found.canonical_name), [str(record) for record in found]),
               ("a-web." + S, ["10.8.5.1"]))
    for name, kind, expected in (("no-such." + S, "A", dns.resolver.NXDOMAIN),
                                 ("demo-service." + S, "MX", dns.resolver.NoAnswer)):
        try:
            told = ask.resolve(name, kind)
        except dns.exception.DNSException as error:
            told = type(error)
        check.same(f"dnspython's resolver: {expected.__name__}", told, expected)
    ask.cache = dns.resolver.Cache()
    for _ in range(2):
        try:
            ask.resolve("no-such." + S, "A")
        except dns.resolver.NXDOMAIN as error:
            response = error.response(error.qnames()[0])
    check.same("M7 dnspython keeps the negative answer: the SOA is in it",
               [rrset.name.to_text() for rrset in response.authority], [Z])


def run(bed, check):
    _, _, daemon = start_world(bed)
    mongo(check, daemon)
    resolver(check, daemon)
