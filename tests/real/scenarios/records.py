"""The kinds of records and names: rules Q, R and M with all clusters well."""

import ask
import dns.flags
import dns.opcode
import dns.rcode
from bed import two
from worlds import A, B, Z, example, start_world, world_a, world_b

S = "default.svc." + Z
SOA = f"{Z} 5 SOA ns.{Z} hostmaster.{Z} 1 7200 1800 86400 5"


def expect(check, daemon, name, question, kind, answer, additional=(), rcode="NOERROR",
           authority=(), ede=(), **more):
    """The answer is exactly this; of EDE the codes."""
    got = ask.ask(daemon, question, kind, **more)
    codes = [code for code, _ in got.ede]
    check.same(name, (got.rcode, got.answer, got.authority, got.additional, codes),
               (rcode, list(answer), list(authority), list(additional), list(ede)))
    return got


def services(check, daemon):
    name = "demo-service." + S
    expect(check, daemon, "R1 an A record keeps the asked owner", name, "A",
           [f"{name} 30 A {ip}" for ip in ("10.8.1.2", "10.8.1.3", "10.9.1.2", "10.9.1.3")])
    expect(check, daemon, "R1 an AAAA record keeps the asked owner", name, "AAAA",
           [f"{name} 30 AAAA 2001:db8:{n}::2" for n in (8, 9)])
    mixed = "Demo-SERVICE.default.SVC.Distributed.LOCAL."
    got = expect(check, daemon, "R1 the owner is spelled as the client wrote it", mixed, "A",
                 [f"{mixed} 30 A {ip}" for ip in ("10.8.1.2", "10.8.1.3", "10.9.1.2", "10.9.1.3")])
    check.same("R1 the question comes back byte for byte", str(got.question[0].name), mixed)
    mixed = "_Demo._TCP.demo-Service.default.svc.DISTRIBUTED.local."
    pods = [(f"{c}-demo-service-0.{S}", n) for c, n in (("a", 8), ("b", 9))]
    expect(check, daemon, "R3 targets and address owners are spelled alike, whatever was asked",
           mixed, "SRV", [f"{mixed} 30 SRV 0 50 8080 {pod}" for pod, _ in pods],
           [line for pod, n in pods
            for line in (f"{pod} 30 A 10.{n}.1.2", f"{pod} 30 AAAA 2001:db8:{n}::2")])
    name = "shared." + S
    expect(check, daemon, "M2 equal records appear once", name, "A", [f"{name} 30 A 192.0.2.1"])
    name = "ttl." + S
    expect(check, daemon, "M3 an RRset has its smallest TTL", name, "A",
           [f"{name} 20 A 10.8.3.1", f"{name} 20 A 10.9.3.1"])
    name = "db." + S
    expect(check, daemon, "M2 one TXT of two clusters' equal ones", name, "TXT",
           [f'{name} 30 TXT "replicaSet=rs0&authSource=admin"'])
    name = "who." + S
    expect(check, daemon, "M1 TXT that differ, in the clusters' order", name, "TXT",
           [f'{name} 30 TXT "10.8"', f'{name} 30 TXT "10.9"'])
    name = "_gone._tcp." + S
    expect(check, daemon, "M10 'not here' gives way to a real target", name, "SRV",
           [f"{name} 30 SRV 0 0 80 a-web.{S}"], [f"a-web.{S} 30 A 10.8.5.1"])
    name = "_none._tcp." + S
    expect(check, daemon, "M10 'not here' stays if all say so", name, "SRV",
           [f"{name} 30 SRV 0 0 0 ."])
    name = "_x._tcp.long." + S
    expect(check, daemon, "R4 a name that grew too long is left out, with EDE 0", name, "SRV",
           [f"{name} 30 SRV 0 0 80 {c}-web.{S}" for c in "ab"],
           [f"a-web.{S} 30 A 10.8.5.1", f"b-web.{S} 30 A 10.9.5.1"], ede=[0])


def routes(check, daemon):
    name = "a-demo-service-0." + S
    expect(check, daemon, "Q4 a prefixed name is asked of its cluster only", name, "A",
           [f"{name} 30 A 10.8.1.2"])
    name = "B-demo-service-0." + S
    expect(check, daemon, "Q4 a prefix is known in either case", name, "A", [f"{name} 30 A 10.9.1.2"])
    name = "_demo._tcp.b-demo-service." + S
    target = "b-demo-service-0." + S
    expect(check, daemon, "Q4 labels that begin with _ are skipped", name, "SRV",
           [f"{name} 30 SRV 0 50 8080 {target}"],
           [f"{target} 30 A 10.9.1.2", f"{target} 30 AAAA 2001:db8:9::2"])
    name = "a-thing." + S
    expect(check, daemon, "Q5 a service really called a-thing is found", name, "A",
           [f"{name} 30 A 10.9.8.1"])
    expect(check, daemon, "Q5 a prefixed name that nobody has", "a-no-such." + S, "A", [],
           rcode="NXDOMAIN", authority=[SOA])


def aliases(check, daemon):
    name = "alias." + S
    ends = ["10.8.5.1", "10.9.5.1"]
    expect(check, daemon, "K8 CNAMEs that differ are flattened", name, "A",
           [f"{name} 20 A {ip}" for ip in ends])
    expect(check, daemon, "K8 for every type: NODATA where the chains have none", name, "AAAA",
           [], authority=[SOA])
    expect(check, daemon, "K8 and for the CNAME itself, with EDE 0", name, "CNAME",
           [], authority=[SOA], ede=[0])
    name = "first." + S
    expect(check, daemon, "K8 chains of two steps are flattened, with their smallest TTL",
           name, "A", [f"{name} 20 A {ip}" for ip in ends])
    name = "only-a." + S
    expect(check, daemon, "M4 one cluster's chain stays, the CNAME in front", name, "A",
           [f"{name} 30 CNAME a-web.{S}", f"a-web.{S} 30 A 10.8.5.1"])
    expect(check, daemon, "K8 and for a type it leads to none of", name, "AAAA",
           [f"{name} 30 CNAME a-web.{S}"])
    name = "mixed." + S
    expect(check, daemon, "K8 a CNAME beside another cluster's data is flattened", name, "A",
           [f"{name} 30 A 10.8.5.1", f"{name} 30 A 10.9.7.1"])
    name = "outside." + S
    expect(check, daemon, "K8 a chain that leaves is kept if all agree", name, "A",
           [f"{name} 30 CNAME www.example.net."])
    name = "conflict." + S
    for rtype in ("A", "AAAA", "CNAME"):
        expect(check, daemon, f"K8 chains that leave and differ, {rtype}: the first, with EDE 0", name,
               rtype, [f"{name} 30 CNAME www-a.example.net."], ede=[0])
    name = "across." + S
    expect(check, daemon, "K8 a CNAME into another cluster is followed there", name, "A",
           [f"{name} 30 CNAME b-web.{S}", f"b-web.{S} 30 A 10.9.5.1"])
    name = "old." + S
    expect(check, daemon, "K8 asked for a DNAME: one (RFC 6672, 2.4), with EDE 0", name, "DNAME",
           [f"{name} 30 DNAME a-new.{S}"], ede=[0])
    name = "a-alias." + S
    expect(check, daemon, "R1 R2 a prefixed alias: its own owner, a prefixed target", name, "A",
           [f"{name} 20 CNAME a-web.{S}", f"a-web.{S} 30 A 10.8.5.1"])
    name = "x.old." + S
    expect(check, daemon, "K8 chains made by DNAME are flattened too", name, "A",
           [f"{name} 30 A 10.8.5.2", f"{name} 30 A 10.9.5.2"])
    name = "nowhere." + S
    expect(check, daemon, "K8 a flattened name is never NXDOMAIN (RFC 8020)", name, "A",
           [], authority=[SOA])
    name = "lost." + S
    expect(check, daemon, "M5 a chain into nothing: NXDOMAIN (RFC 6604)", name, "A",
           [f"{name} 30 CNAME a-missing.{S}"], rcode="NXDOMAIN", authority=[SOA])


def types(check, daemon):
    def each(label, kind, data, additional=()):
        """The same record of both clusters, {} standing for the prefix."""
        name = f"{label}.{S}"
        expect(check, daemon, f"R2 names in {kind} are rewritten", name, kind,
               [f"{name} 30 {kind} {data.replace('{}', c)}" for c in ("a-", "b-")], additional)

    webs = [f"a-web.{S} 30 A 10.8.5.1", f"b-web.{S} 30 A 10.9.5.1"]
    each("mail", "MX", "10 {}mx." + S, [f"a-mx.{S} 30 A 10.8.6.1", f"b-mx.{S} 30 A 10.9.6.1"])
    each("back", "HTTPS", "1 {}web." + S + ' alpn="h2"', webs)
    each("svcb", "SVCB", "2 {}web." + S + ' port="8443"', webs)
    each("naptr", "NAPTR", '10 20 "s" "SIP+D2U" "" _sip._udp.{}web.' + S)
    each("ptr", "PTR", "{}web." + S)
    each("rp", "RP", "{}admin.web." + S + " {}who." + S)
    each("kx", "KX", "10 {}web." + S)
    each("afsdb", "AFSDB", "1 {}web." + S)
    name = "https." + S
    expect(check, daemon, "R2 the root stays", name, "HTTPS", [f'{name} 30 HTTPS 1 . alpn="h2"'])
    name = "far." + S
    expect(check, daemon, "R2 names outside every cluster stay", name, "SRV",
           [f"{name} 30 SRV 0 0 80 host.example.net."])
    name = "peer." + S
    expect(check, daemon, "R2 another cluster's name gets that cluster's prefix", name, "SRV",
           [f"{name} 30 SRV 0 0 80 {c}-peer-0.{S}" for c in "ba"])
    name = "caa." + S
    expect(check, daemon, "Q2 types without names are carried", name, "CAA",
           [f'{name} 30 CAA 0 issue "ca.example.net"'])
    name = "unknown." + S
    expect(check, daemon, "Q2 unknown types are carried", name, "TYPE65280",
           [f"{name} 30 TYPE65280 \\# 3 0a0b0c"])


def negatives(check, daemon):
    got = expect(check, daemon, "M5 M7 NXDOMAIN with our SOA and the smallest negative TTL",
                 "no-such." + S, "A", [], rcode="NXDOMAIN", authority=[SOA])
    check.that("M9 a negative answer has AA or RA", {"aa", "ra"} & set(got.flags), got.flags)
    got = expect(check, daemon, "M5 M7 NODATA with our SOA", "demo-service." + S, "MX", [],
                 authority=[SOA])
    check.that("M9 NODATA has AA or RA", {"aa", "ra"} & set(got.flags), got.flags)
    expect(check, daemon, "M5 NODATA if one cluster has the name", "half." + S, "A", [],
           authority=[SOA])
    name = "half." + S
    expect(check, daemon, "M5 NOERROR if one cluster has records", name, "TXT",
           [f'{name} 30 TXT "only in a"'])
    expect(check, daemon, "M5 an empty non-terminal is NODATA", S, "A", [], authority=[SOA])


def apex_and_outside(check, daemon):
    expect(check, daemon, "Q8 the SOA of the apex", Z, "SOA",
           [f"{Z} 300 SOA ns.{Z} hostmaster.{Z} 1 7200 1800 86400 300"])
    expect(check, daemon, "Q8 the NS of the apex", Z, "NS", [f"{Z} 300 NS ns.{Z}"])
    expect(check, daemon, "Q8 the apex exists: NODATA", Z, "A", [], authority=[SOA])
    expect(check, daemon, "Q3 ANY gets the minimal answer of RFC 8482", "demo-service." + S, "ANY",
           [f'demo-service.{S} 300 HINFO "RFC8482" ""'])
    for tcp in (False, True):
        for kind in ("AXFR", "IXFR"):
            for name in (Z, "www.example.net."):
                expect(check, daemon, f"Q3 {kind} of {name} is REFUSED (tcp={tcp})", name, kind, [],
                       rcode="REFUSED", tcp=tcp)
    for opcode in (dns.opcode.NOTIFY, dns.opcode.UPDATE, dns.opcode.STATUS):
        query = ask.query(Z, "SOA")
        query.set_opcode(opcode)
        wire = ask.datagram(daemon, query.to_wire())
        check.same(f"Q3 opcode {dns.opcode.to_text(opcode)} is NOTIMP", wire[3] & 15,
                   dns.rcode.NOTIMP)
    expect(check, daemon, "Q3 class CH is REFUSED", "version.bind.", "TXT", [], rcode="REFUSED",
           rdclass="CH")
    for name in ("www.example.net.", "evil" + Z, "local.", "."):
        expect(check, daemon, f"Q1 Q7 {name} is outside: REFUSED with EDE 20", name, "A", [],
               rcode="REFUSED", ede=[20])


def dnssec(bed, check):
    """Signed clusters, and a signed zone behind a forward."""
    a = bed.knot({A: world_a()}, signed=[A])
    b = bed.knot({B: world_b()}, signed=[B])
    other = bed.knot({"example.net.": example()}, signed=["example.net."])
    daemon = bed.gathersrv(*two(a, b), "--forward", f". {other.at}")
    signed = ask.ask(a, "web.default.svc." + A, "A", want_dnssec=True)
    check.that("(the clusters do sign)", any(" RRSIG " in line for line in signed.answer), signed)
    name = "web." + S
    got = expect(check, daemon, "R5 no signature comes from a signed cluster", name, "A",
                 [f"{name} 30 A 10.8.5.1", f"{name} 30 A 10.9.5.1"], want_dnssec=True,
                 flags=dns.flags.RD | dns.flags.AD | dns.flags.CD)
    check.same("M9 R5 AD is 0; RD and CD are the client's; RA as we forward",
               sorted(got.flags), ["aa", "cd", "qr", "ra", "rd"])
    expect(check, daemon, "R5 keys are left out", Z, "DNSKEY", [], authority=[SOA])
    name = "www.example.net."
    expect(check, daemon, "Q7 a name outside goes to the forward", name, "A",
           [f"{name} 300 A 192.0.2.80"])
    got = ask.ask(daemon, name, "AAAA", want_dnssec=True)
    check.same("Q7 DNSSEC passes a forward",
               [line.split()[2] for line in got.answer], ["AAAA", "RRSIG"])
    got = ask.ask(daemon, "no.example.net.", "A")
    check.same("Q7 the forward's NXDOMAIN is passed on", (got.rcode, got.answer), ("NXDOMAIN", []))
    name = "evil" + Z
    got = ask.ask(daemon, name, "A")
    check.same("Q7 the forward's REFUSED is not turned into an answer",
               (got.rcode in ("REFUSED", "SERVFAIL"), got.answer), (True, []))
    for tcp in (False, True):
        got = ask.ask(daemon, "example.net.", "AXFR", tcp=tcp)
        check.same(f"Q3 AXFR is never forwarded (tcp={tcp})", (got.rcode, got.answer),
                   ("REFUSED", []))


def run(bed, check):
    _, _, daemon = start_world(bed)
    for part in (services, routes, aliases, types, negatives, apex_and_outside):
        part(check, daemon)
    dnssec(bed, check)
