"""What operators see over HTTP: metrics that say what clients and clusters did,
health, readiness, the plan, how things stand; and that it stays readable when
clusters are gone, the configuration changes, and strangers misbehave."""

import http.client
import json
import re
import signal
import socket
import time

import ask
from bed import LOOPBACK, free_port, two
from worlds import A, B, Z, seed
from .seed import QUESTION

PATIENCE = 10


class Admin:
    """The admin server of a daemon."""

    def __init__(self, daemon=None, at=None):
        if at is None:
            at = next(line for line in daemon.printed if line.startswith("admin on ")).split()[-1]
        self.host, port = at.rsplit(":", 1)
        self.port = int(port)

    def get(self, path, method="GET", **headers):
        """Status, headers, text."""
        link = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            link.request(method, path, headers=headers)
            reply = link.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read().decode()
        finally:
            link.close()

    def status(self):
        return json.loads(self.get("/status.json")[2])

    def metrics(self):
        """Values by name and labels, as they are written."""
        found = {}
        # What is told may be 50 ms old.
        time.sleep(0.1)
        for line in self.get("/metrics")[2].splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def until(self, true):
        """Waits until the status is as wanted; the last one."""
        end = time.monotonic() + PATIENCE
        while True:
            status = self.status()
            if true(status) or time.monotonic() > end:
                return status
            time.sleep(0.1)


def cluster(status, n):
    return status["zones"][0]["clusters"][n]


def counts(bed, check, a, b):
    daemon = bed.gathersrv(*two(a, b), "--forward", f"example.net. {b.at}", "--cache", "1000",
                           "--workers", "2", "--admin", f"{LOOPBACK}:0")
    admin = Admin(daemon)
    names = [f"_demo._tcp.demo-service.default.svc.{zone}"
             for zone in (Z, Z.upper(), "a.b." + Z, "elsewhere.", "example.net.")]
    for name in names:
        for kind in ("SRV", "A", "TYPE65280"):
            ask.ask(daemon, name, kind)
            ask.ask(daemon, name, kind, tcp=True)
    metrics = admin.metrics()
    sums = {}
    for name, value in metrics.items():
        if match := re.match(r'gathersrv_queries_total\{zone="([^"]+)",type="([^"]+)",transport="([^"]+)"', name):
            for label in match.groups():
                sums[label] = sums.get(label, 0) + value
    check.same("every answer is counted once, by zone, type and transport", sums,
               {Z: 18, "example.net.": 6, "none": 6, "SRV": 10, "A": 10, "other": 10,
                "udp": 15, "tcp": 15})
    check.same("the latency histogram has as many",
               metrics[f'gathersrv_query_duration_seconds_count{{zone="{Z}"}}'], 18)
    answers = sum(value for name, value in metrics.items()
                  if name.startswith("gathersrv_answers_total"))
    fresh = metrics[f'gathersrv_cluster_answers_total{{zone="{Z}",cluster="{A}",prefix="a-",outcome="fresh"}}']
    check.same("each gathered answer is whole or not, and each cluster is in it or not",
               (answers, fresh), (18, 18))
    check.that("kept answers are counted", metrics["gathersrv_cache_hits_total"] >= 4,
               metrics["gathersrv_cache_hits_total"])
    to_a = f'{{zone="{Z}",cluster="{A}",prefix="a-",server="{a.at}",rcode="NOERROR"}}'
    check.that("sub-questions are counted by cluster, server and rcode",
               metrics["gathersrv_subqueries_total" + to_a] >= 1, to_a)
    hostile = 'x"} evil 1\n# TYPE.'
    wire = bytearray(ask.query("hostile." + Z, "A").to_wire())
    label = hostile.encode()[:7]
    wire[13:20] = label
    ask.datagram(daemon, bytes(wire))
    text = admin.get("/metrics")[2]
    check.that("no name of a client is in the metrics", "evil" not in text and "hostile" not in text,
               text)
    scraped = bed.dir / "metrics"
    scraped.write_text(text)
    code, out, err = bed.run("sh", "-c", f"promtool check metrics <{scraped}")
    check.same("promtool has nothing to say against them", (code, out + err), (0, ""))
    daemon.end()


def pages(bed, check, a, b):
    daemon = bed.gathersrv(*two(a, b), "--admin", f"{LOOPBACK}:0", "--admin", f"127.0.0.2:0")
    for line in [line for line in daemon.printed if line.startswith("admin on ")]:
        got = Admin(at=line.split()[-1]).get("/health")
        check.same(f"{line}: /health", (got[0], got[2]), (200, "ok\n"))
    admin = Admin(daemon)
    check.same("/ready", admin.get("/ready")[0], 200)
    admin.until(lambda status: cluster(status, 1)["state"] == "up")
    check.same("/ready?strict: idle clusters are asked whether they are there",
               admin.get("/ready?strict")[0], 200)
    _, out, _ = bed.run(bed.binary, "check", *two(a, b), "--listen", daemon.at, "--cache", "0",
                        "--admin", f"{LOOPBACK}:0", "--admin", "127.0.0.2:0")
    check.same("/config is what check prints", admin.get("/config")[2], out)
    code, headers, _ = admin.get("/nothing")
    check.same("an unknown path: 404", code, 404)
    code, headers, text = admin.get("/", method="POST")
    check.same("it takes nothing", (code, headers.get("allow")), (405, "GET, HEAD"))
    code, headers, text = admin.get("/", method="HEAD")
    check.same("HEAD has headers and no text", (code, text), (200, ""))
    check.that("a browser loads nothing from elsewhere",
               headers["content-security-policy"].startswith("default-src 'none'"), headers)
    code, _, text = admin.get("/status.json", Host=f"strange.example:{admin.port}")
    check.that("a stranger's name that leads to loopback: 421, and what to do",
               code == 421 and "127.0.0.1" in text, (code, text))
    check.same("localhost is no stranger", admin.get("/status.json", Host="localhost:1234")[0], 200)
    status = admin.status()
    check.same("the status says where clients are served", status["listen"],
               [{"addr": daemon.at, "service": "udp+tcp"}])
    code, _, told = bed.run(bed.binary, *two(a, b), "--listen", f"{LOOPBACK}:0",
                            "--admin", f"{admin.host}:{admin.port}")
    check.that("an admin address in use: exit code 1, and stderr names it",
               code == 1 and f"{admin.host}:{admin.port}" in told, told)
    daemon.end()


def failing(bed, check, a, b):
    daemon = bed.gathersrv(*two(a, b), "--admin", f"{LOOPBACK}:0")
    admin = Admin(daemon)
    ask.ask(daemon, QUESTION, "SRV")
    b.send(signal.SIGSTOP)
    time.sleep(1.1)
    ask.ask(daemon, QUESTION, "SRV")
    status = admin.until(lambda status: cluster(status, 1)["state"] == "down")
    check.same("a silent cluster is down, the other is up",
               (cluster(status, 0)["state"], cluster(status, 1)["state"]), ("up", "down"))
    check.that("with the time since when", 0 < status["now"] - cluster(status, 1)["since"] < 10,
               cluster(status, 1))
    check.same("answers are stale", status["zones"][0]["state"], "stale")
    check.that("and how old they are is told", cluster(status, 1)["stale_age"] >= 1,
               cluster(status, 1))
    check.that("it is an event", "is missing" in status["events"][0]["text"], status["events"])
    labels = f'{{zone="{Z}",cluster="{B}",prefix="b-"}}'
    check.same("gathersrv_cluster_up is 0", admin.metrics()["gathersrv_cluster_up" + labels], 0)
    code, _, text = admin.get("/ready?strict")
    check.same("/ready?strict names it", (code, text),
               (503, f"cluster {B} b- of {Z} is down: all of its servers are out\n"))
    check.same("/ready does not mind", admin.get("/ready")[0], 200)
    b.send(signal.SIGCONT)
    status = admin.until(lambda status: cluster(status, 1)["state"] == "up")
    check.same("it is up again", cluster(status, 1)["state"], "up")
    daemon.end()


def changing(bed, check, a, b):
    port, first, second = (free_port() for _ in range(3))
    path = bed.dir / "Corefile"
    block = (f"{Z}:{port} {{\n bind {LOOPBACK}\n prometheus {LOOPBACK}:{{admin}}\n"
             f" health {LOOPBACK}:{{admin}} {{{{\n  lameduck 3s\n }}}}\n"
             f" gathersrv {Z} {{{{\n  {A} a- {a.at}\n  {{b}} b- {b.at}\n }}}}\n}}}}\n")
    block = block.replace(f"{port} {{\n", f"{port} {{{{\n")
    path.write_text(block.format(admin=first, b=B))
    daemon = bed.configured(path, port)
    admin = Admin(at=f"{LOOPBACK}:{first}")
    for _ in range(5):
        ask.ask(daemon, QUESTION, "SRV")
    path.write_text(block.format(admin=first, b=B) + "nonsense {")
    status = admin.until(lambda status: status["config"]["failures"] == 1)
    check.that("a wrong change is told", "Corefile" in (status["config"]["last_error"] or ""),
               status["config"])
    check.same("and counted", admin.metrics()["gathersrv_config_last_reload_successful"], 0)
    path.write_text(block.format(admin=second, b="other.local."))
    end = time.monotonic() + PATIENCE
    admin = Admin(at=f"{LOOPBACK}:{second}")
    while time.monotonic() < end:
        try:
            status = admin.status()
            break
        except OSError:
            time.sleep(0.1)
    check.same("a changed Corefile moves the admin server",
               (status["config"]["reloads"], cluster(status, 1)["suffix"]), (1, "other.local."))
    metrics = admin.metrics()
    check.same("what was counted of all stays", metrics["gathersrv_subqueries_sent_total"] >= 10, True)
    try:
        socket.create_connection((LOOPBACK, first), 1).close()
        check.fail("nothing listens where it was", "it does")
    except OSError:
        check.same("nothing listens where it was", True, True)
    daemon.send(signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while (ready := admin.get("/ready"))[0] == 200 and time.monotonic() < end:
        time.sleep(0.05)
    check.same("a lame duck says that it is not ready", (ready[0], admin.get("/health")[0]), (503, 200))
    check.same("and answers all the same", ask.ask(daemon, QUESTION, "SRV").rcode, "NOERROR")
    check.same("and ends", daemon.end(), 0)


def strangers_over_tcp_were_counted_as_too_many(bed, check, a, b):
    counted = []
    for flags in (("--allow", "192.0.2.0/24"), ("--max-tcp", "1")):
        # One worker accepts them in their order, so the last is closed in either case.
        daemon = bed.gathersrv(*two(a, b), *flags, "--workers", "1", "--admin", f"{LOOPBACK}:0")
        links = [socket.create_connection((daemon.host, daemon.port), PATIENCE) for _ in range(3)]
        links[-1].settimeout(PATIENCE)
        check.same(f"{' '.join(flags)}: a connection is closed", links[-1].recv(1), b"")
        counted.append(Admin(daemon).metrics()["gathersrv_connections_turned_away_total"])
        for link in links:
            link.close()
        daemon.end()
    check.same("those above --max-tcp are counted, those who may not ask are not", counted, [0, 2])


def misbehaving(bed, check, a, b):
    daemon = bed.gathersrv(*two(a, b), "--admin", f"{LOOPBACK}:0")
    admin = Admin(daemon)
    held = []
    for n in range(80):
        link = socket.create_connection((admin.host, admin.port), PATIENCE)
        link.sendall([b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00", b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 4000][n % 3])
        held.append(link)
    check.same("connections that hold on do not slow a query",
               ask.ask(daemon, QUESTION, "SRV").rcode, "NOERROR")
    for link in held:
        link.close()
    with socket.create_connection((admin.host, admin.port), PATIENCE) as link:
        link.sendall(b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"y" * 100_000 + b"\r\n\r\n")
        try:
            got = link.recv(64)
        except ConnectionError:
            got = b""
        check.that("a head without end is turned away", b" 200 " not in got, got)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            code = admin.get("/health")[0]
            break
        except (OSError, http.client.HTTPException):
            code = None
            time.sleep(0.1)
    check.same("and the next one is served", code, 200)
    daemon.end()


def probes_that_showed_everything(bed, check, a, b):
    """CoreDNS has nothing but OK at the addresses of health and ready."""
    port, health, ready, all_of_it = (free_port() for _ in range(4))
    path = bed.dir / "Corefile"
    block = (f"{Z}:{port} {{{{\n bind {LOOPBACK}\n prometheus {LOOPBACK}:{all_of_it}\n"
             f" health {LOOPBACK}:{health}\n ready {LOOPBACK}:{ready}\n{{more}}"
             f" gathersrv {Z} {{{{\n  {A} a- {a.at}\n  {B} b- {b.at}\n }}}}\n}}}}\n")
    path.write_text(block.format(more=""))
    daemon = bed.configured(path, port)
    paths = ("/", "/metrics", "/status.json", "/config", "/nothing")
    for at in (health, ready):
        admin = Admin(at=f"{LOOPBACK}:{at}")
        check.same(f"a probes' port: /health and /ready",
                   [admin.get(path)[0] for path in ("/health", "/ready")], [200, 200])
        check.same("and nothing else", [admin.get(path)[0] for path in paths], [404] * 5)
    text = admin.get("/metrics")[2]
    check.that("it says what has the rest", "prometheus" in text and "--admin" in text, text)
    admin = Admin(at=f"{LOOPBACK}:{all_of_it}")
    check.same("where prometheus says, there is all of it", [admin.get(path)[0] for path in paths],
               [200] * 4 + [404])
    wanted = [f"admin on {LOOPBACK}:{all_of_it}", f"health and readiness on {LOOPBACK}:{health}",
              f"health and readiness on {LOOPBACK}:{ready}"]
    _, out, _ = bed.run(bed.binary, "check", "--config", path)
    for line in wanted:
        check.that(f"start lines and check say so: {line}",
                   line in daemon.printed and line in out.splitlines(), (daemon.printed, out))
    kept = http.client.HTTPConnection(LOOPBACK, health, timeout=PATIENCE)
    path.write_text(block.format(more=f" prometheus {LOOPBACK}:{health}\n"))
    daemon.send(signal.SIGHUP)
    end = time.monotonic() + PATIENCE
    while True:
        kept.request("GET", "/config")
        reply = kept.getresponse()
        text = reply.read().decode()
        if reply.status == 200 or time.monotonic() > end:
            break
        time.sleep(0.1)
    check.that("a change reaches connections that are open",
               reply.status == 200 and f"admin on {LOOPBACK}:{health}" in text, (reply.status, text))
    started = Admin(at=f"{LOOPBACK}:{all_of_it}").status()["started"]
    kept.close()
    daemon.end()
    path.write_text(block.format(more="").replace("prometheus", "#").replace("health", "#").replace("ready", "#"))
    daemon = bed.configured(path, port)
    up = time.time()
    time.sleep(1.5)
    path.write_text(block.format(more=""))
    daemon.send(signal.SIGHUP)
    end = time.monotonic() + PATIENCE
    while (started := begun(all_of_it)) is None and time.monotonic() < end:
        time.sleep(0.1)
    check.that("an admin server that came later knows when the daemon started",
               started is not None and started <= up, (started, up))
    daemon.end()


def begun(port):
    try:
        return Admin(at=f"{LOOPBACK}:{port}").metrics()["process_start_time_seconds"]
    except OSError:
        return None


def silent_connections_that_shut_out_probes(bed, check, a, b):
    daemon = bed.gathersrv(*two(a, b), "--admin", f"{LOOPBACK}:0")
    admin = Admin(daemon)
    held = [socket.create_connection((admin.host, admin.port), PATIENCE) for _ in range(70)]
    check.same("70 connections say nothing, and /health is answered", admin.get("/health")[0], 200)
    held[0].settimeout(PATIENCE)
    try:
        got = held[0].recv(1)
    except ConnectionError:
        got = b""
    check.same("the oldest has made room", got, b"")
    for link in held:
        link.close()
    daemon.end()


def large_answers_that_nobody_read(bed, check, a):
    """What is not read is kept, so there is not much of it at once."""
    port, at = free_port(), free_port()
    path = bed.dir / "Corefile"
    zones = "".join(f" gathersrv z{n}.example. {{\n  {A} a- {a.at}\n }}\n" for n in range(3000))
    path.write_text(f".:{port} {{\n bind {LOOPBACK}\n prometheus {LOOPBACK}:{at}\n{zones}}}\n")
    daemon = bed.configured(path, port)
    admin = Admin(at=f"{LOOPBACK}:{at}")
    held = []
    for _ in range(12):
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.settimeout(PATIENCE)
        link.connect((LOOPBACK, at))
        link.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        held.append((link, link.recv(12)[-3:]))
    codes = [code for _, code in held]
    check.same("four get it, the others are told to come later", codes, [b"200"] * 4 + [b"503"] * 8)
    code, headers, _ = admin.get("/metrics")
    check.same("with Retry-After", (code, headers.get("retry-after")), (503, "5"))
    check.same("probes are answered", [admin.get(path)[0] for path in ("/health", "/ready")], [200, 200])
    for link, _ in held:
        link.close()
    end = time.monotonic() + PATIENCE
    while (code := admin.get("/metrics")[0]) != 200 and time.monotonic() < end:
        time.sleep(0.1)
    check.same("when they are gone it is there again", code, 200)
    daemon.end()


def icmp_errors_that_waited_for_the_next_datagram(bed, check, a):
    """That nobody listens is known when the host says so, not after a repeat."""
    nobody = f"{LOOPBACK}:{free_port()}"
    daemon = bed.gathersrv("--zone", Z, "--cluster", f"{A} a- {a.at}", "--cluster", f"{B} b- {nobody}",
                           "--workers", "1", "--max-fails", "0", "--admin", f"{LOOPBACK}:0")
    got = [ask.ask(daemon, f"name-{n}.default.svc.{Z}", "A") for n in range(5)]
    check.same("a port that nobody listens at: answers without that cluster",
               [[code for code, _ in answer.ede] for answer in got], [[23]] * 5)
    admin = Admin(daemon)
    admin.until(lambda status: status["rates"]["queries"] > 0)
    found = admin.metrics()
    check.same("a port that nobody listens at: nothing was sent because no answer had come",
               found["gathersrv_retransmitted_total"], 0)


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    counts(bed, check, a, b)
    pages(bed, check, a, b)
    failing(bed, check, a, b)
    changing(bed, check, a, b)
    strangers_over_tcp_were_counted_as_too_many(bed, check, a, b)
    misbehaving(bed, check, a, b)
    probes_that_showed_everything(bed, check, a, b)
    silent_connections_that_shut_out_probes(bed, check, a, b)
    large_answers_that_nobody_read(bed, check, a)
    icmp_errors_that_waited_for_the_next_datagram(bed, check, a)
