"""DNS over TLS on both sides (RFC 7858), DNS cookies with servers that speak
them (RFC 7873), and case randomisation, with real servers and clients."""

import os
import socket
import ssl
import time

import ask
from bed import LOOPBACK, free_port, two
from certificates import Authority
from checks import until
from worlds import A, B, seed
from .seed import QUESTION, WHOLE, shape

CLIENTS = "dns.gathersrv.example"


def tls_daemon(bed, authority, *words):
    """The daemon with a place for TLS clients, and that place's port."""
    cert, key = authority.certificate("own", CLIENTS)
    port = free_port()
    daemon = bed.gathersrv(*words, "--listen-tls", f"{LOOPBACK}:{port}", "--tls-cert", cert,
                           "--tls-key", key)
    return daemon, port


def context(authority):
    made = ssl.create_default_context(cafile=str(authority.pem))
    made.set_alpn_protocols(["dot"])
    return made


def serial(authority, port):
    """The number of the certificate that a client is shown now."""
    with socket.create_connection((LOOPBACK, port), timeout=5) as plain:
        with context(authority).wrap_socket(plain, server_hostname=CLIENTS) as secure:
            return secure.getpeercert()["serialNumber"]


def read_frame(stream):
    """One answer of a stream."""
    octets = b""
    while len(octets) < 2 or len(octets) < 2 + int.from_bytes(octets[:2], "big"):
        wanted = 2 if len(octets) < 2 else 2 + int.from_bytes(octets[:2], "big")
        part = stream.recv(wanted - len(octets))
        if not part:
            raise EOFError("the stream ends within an answer")
        octets += part
    return octets[2:]


def clients(bed, check, authority, knots):
    daemon, port = tls_daemon(bed, authority, *two(*knots))
    words = ["@" + LOOPBACK, "-p", port, "+tls-ca=" + str(authority.pem)]
    for host, good in ((CLIENTS, True), ("other.example", False)):
        code, out, _ = bed.run("kdig", *words, "+tls-hostname=" + host, "+timeout=3", "+retry=0",
                               "SRV", QUESTION)
        if good:
            check.same("RFC 7858 kdig +tls: the page's answer, from who it should be",
                       (code, shape(ask.printed(out))), (0, WHOLE))
        else:
            check.that("RFC 7858 kdig +tls: another name is not believed", code != 0, out)
    code, out, _ = bed.run("dig", "@" + LOOPBACK, "-p", port, "+tls", "SRV", QUESTION)
    check.same("RFC 7858 dig +tls: the page's answer", (code, shape(ask.printed(out))), (0, WHOLE))

    query = ask.query(QUESTION, "SRV").to_wire()
    frame = len(query).to_bytes(2, "big") + query
    made = context(authority)
    with socket.create_connection((LOOPBACK, port), timeout=5) as plain:
        with made.wrap_socket(plain, server_hostname=CLIENTS) as secure:
            secure.sendall(frame * 100)
            sizes = [len(read_frame(secure)) for _ in range(100)]
            check.same("RFC 7858 a hundred queries in one go, over one connection",
                       (len(set(sizes)), secure.selected_alpn_protocol()), (1, "dot"))
            session = secure.session
    with socket.create_connection((LOOPBACK, port), timeout=5) as plain:
        with made.wrap_socket(plain, server_hostname=CLIENTS, session=session) as secure:
            check.that("RFC 7858, 3.4: a session is taken up again", secure.session_reused)

    with socket.create_connection((LOOPBACK, port), timeout=8) as plain:
        began = time.monotonic()
        plain.sendall(frame)
        check.same("no answer to who speaks no TLS, and an end",
                   (plain.recv(1) in (b"", b"\x15"), time.monotonic() - began < 7), (True, True))
    check.that("it serves on", shape(ask.ask(daemon, QUESTION, "SRV")) == WHOLE)
    return daemon, port


def renewal(check, authority, daemon, port):
    before = serial(authority, port)
    cert, key = authority.certificate("renewed", CLIENTS)
    directory = authority.directory
    # The certificate first: for a moment the two do not belong together.
    os.replace(cert, directory / "own.pem")
    time.sleep(0.5)
    check.same("a certificate without its key: the one before is shown",
               serial(authority, port), before)
    check.that("and the log says what is wrong with it",
               until(lambda: "belong to each other" in daemon.said()), daemon.said())
    os.replace(key, directory / "own.key")
    check.that("a renewed certificate is shown without a restart",
               until(lambda: serial(authority, port) != before))


def unbound(bed, authority, zone, text):
    """A cluster's server that speaks TLS: an unbound that has the zone."""
    port, plain = free_port(), free_port()
    home = bed.dir / f"unbound-{port}"
    home.mkdir()
    cert, key = authority.certificate(f"cluster-{port}", f"dns.{zone.rstrip('.')}")
    (home / "zone").write_text(f"$ORIGIN {zone}\n" + text)
    (home / "conf").write_text(f"""\
server:
  directory: "{home}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  interface: {LOOPBACK}@{plain}
  interface: {LOOPBACK}@{port}
  tls-port: {port}
  tls-service-pem: "{cert}"
  tls-service-key: "{key}"
  rrset-roundrobin: no
remote-control:
  control-enable: no
auth-zone:
  name: {zone}
  for-upstream: no
  zonefile: "{home}/zone"
""")
    server = bed.server(["unbound", "-c", home / "conf"], plain)
    if not bed.answers(server, [zone]):
        raise RuntimeError("unbound: " + server.said())
    return server, f"tls://{LOOPBACK}:{port}"


def clusters(bed, check, authority):
    servers = {}
    for zone, net in ((A, "10.8"), (B, "10.9")):
        server, at = unbound(bed, authority, zone, seed(zone, net))
        servers[zone] = (server, at)
    stranger = Authority(bed.dir, "stranger")

    def flags(ca, names=None):
        words = []
        for prefix, zone in (("a-", A), ("b-", B)):
            name = (names or {}).get(zone, "dns." + zone.rstrip("."))
            words += ["--cluster", f"{zone} {prefix} {servers[zone][1]}#{name} ca={ca[zone]}"]
        return ["--zone", "distributed.local.", *words]

    believed = {A: authority.pem, B: authority.pem}
    daemon = bed.gathersrv(*flags(believed))
    # unbound gives no addresses beside SRV records.
    check.same("RFC 7858 clusters over TLS: the page's answer",
               shape(ask.ask(daemon, QUESTION, "SRV"))[:2], WHOLE[:2])
    for _ in range(50):
        ask.ask(daemon, QUESTION, "SRV")
    _, out, _ = bed.run("ss", "-Htn", "state", "established", f"( dport = :{servers[A][1].rsplit(':', 1)[1]} )")
    check.that("fifty questions, and a connection for each worker at most",
               0 < len(out.splitlines()) <= (os.cpu_count() or 1), out)
    for what, words in (("another authority", flags({**believed, B: stranger.pem})),
                        ("another name", flags(believed, {B: "dns.elsewhere.example"}))):
        daemon = bed.gathersrv(*words, "--on-missing", "partial")
        got = ask.ask(daemon, QUESTION, "SRV")
        check.same(f"{what} in its certificate: the cluster is missing, and nothing of it is used",
                   (got.rcode, [code for code, _ in got.ede], any("b-demo" in line for line in got.answer)),
                   ("NOERROR", [23], False))
        check.that(f"{what}: the log says so", until(lambda: "certificate" in daemon.said()), daemon.said())
        daemon.end()


def cookies(bed, check):
    a, b = (bed.knot({zone: seed(zone, net)}, cookies=True)
            for zone, net in ((A, "10.8"), (B, "10.9")))
    daemon = bed.gathersrv(*two(a, b))
    for n in range(5):
        check.same(f"RFC 7873 clusters with cookies: the page's answer ({n})",
                   shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)
    # Knot as it would be after an update that takes the module away.
    a.end()
    bed.knot({A: seed(A, "10.8")}, port=a.port)
    time.sleep(1.5)
    got = [shape(ask.ask(daemon, QUESTION, "SRV")) for _ in range(3)]
    check.same("RFC 7873 a cluster that has given cookies up is believed by what it says over TCP",
               got[-1], WHOLE)


def case(bed, check, knots):
    flags = two(*knots)
    flags = [word + " case=random" if word.startswith("cluster-") else word for word in flags]
    daemon = bed.gathersrv(*flags)
    check.same("0x20 with knotd: the page's answer, in no other spelling, every time",
               [shape(ask.ask(daemon, QUESTION, "SRV")) for _ in range(5)], [WHOLE] * 5)


def strangers(bed, check, knots):
    daemon = bed.gathersrv(*two(*knots), "--allow", "10.0.0.0/8")
    got = ask.ask(daemon, QUESTION, "SRV")
    check.same("--allow: others are REFUSED, with EDE 18",
               (got.rcode, got.answer, [code for code, _ in got.ede]), ("REFUSED", [], [18]))
    with socket.create_connection((daemon.host, daemon.port), timeout=5) as stream:
        try:
            read = stream.recv(1)
        except ConnectionResetError:
            read = b""
        check.same("--allow: their connections are closed at once", read, b"")
    daemon = bed.gathersrv(*two(*knots), "--allow", "10.0.0.0/8", "--allow", "127.0.0.0/8")
    for tcp in (False, True):
        check.same(f"--allow: who is named may ask (tcp={tcp})",
                   shape(ask.ask(daemon, QUESTION, "SRV", tcp=tcp)), WHOLE)


def run(bed, check):
    authority = Authority(bed.dir)
    knots = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    daemon, port = clients(bed, check, authority, knots)
    renewal(check, authority, daemon, port)
    clusters(bed, check, authority)
    cookies(bed, check)
    case(bed, check, knots)
    strangers(bed, check, knots)
    cert, _ = authority.certificate("lonely", CLIENTS)
    for words, told in (
            (["--tls-cert", cert, "--tls-key", bed.dir / "nothing.key"], "nothing.key: "),
            (["--tls-cert", bed.dir / "own.key", "--tls-key", bed.dir / "own.key"],
             "there is no certificate in it"),
            (["--tls-cert", cert, "--tls-key", bed.dir / "own.key"], "belong to each other")):
        code, _, err = bed.run(bed.binary, *two(*knots), "--listen-tls", f"{LOOPBACK}:0", *words)
        check.that(f"a mistake with certificates: exit code 2, and '{told}'",
                   code == 2 and told in err, (code, err))
