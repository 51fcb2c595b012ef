"""What the daemon tells: log lines as text and JSON, state changes once, the
query log with names that mean harm, and dnstap at real and at bad collectors."""

import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import dns.message
import dns.name
import dns.query

import ask
from bed import END_TIME, LOOPBACK, die_with_parent, free_port, two
from checks import until
from manager import Manager
from worlds import A, B, Z, seed
from .seed import QUESTION, WHOLE, shape

# Labels that somebody might like to see in a log as they are.
HOSTILE = [b"\n2026-01-01T00:00:00Z ERROR forged", b"a\r\nb", b"\x1b[31mred\x1b[0m", b"x y=z",
           b'quo"te', b"back\\slash", b"dot.in", b"\x00null", b"\xc3\xa9\xff", b"client=1.2.3.4",
           b"{}[]();@$'", b"\x7f"]

LINE = re.compile(r"\S+Z  ?INFO query client=\S+ transport=\S+( name=\S+ type=\S+)? rcode=\S+ "
                  r"flags=\S+ size=\d+ took_ms=\d+\.\d+ cached=(true|false)( ede=[\d,]+)?")

CONTENT = b"protobuf:dnstap.Dnstap"

# Seconds a server is asked for until it is out, and bounds of loops.
OUT_TIME = 20


def lines(daemon, what=""):
    return [line for line in daemon.said().splitlines() if what in line]


def wire(labels, number=7):
    name = dns.name.Name([*labels, *dns.name.from_text(Z).labels])
    return dns.message.make_query(name, "A", id=number, use_edns=0).to_wire()


def unescaped(text):
    """The labels of a name in presentation format."""
    return list(dns.name.from_text(text).labels)


def query_log(bed, check, a, b):
    text = bed.gathersrv(*two(a, b), "--query-log", "1", "--log", "off")
    other = bed.gathersrv(*two(a, b), "--query-log", "1/1", "--log-format", "json")
    for daemon in (text, other):
        for n, label in enumerate(HOSTILE):
            ask.datagram(daemon, wire([label], n))
        ask.ask(daemon, QUESTION, "SRV", tcp=True)
        # A header and nothing else: FORMERR, without a question.
        ask.datagram(daemon, struct.pack("!6H", 9, 0, 1, 0, 0, 0))
    wanted = len(HOSTILE) + 2
    check.that("query log: a line for each query, and no more",
               until(lambda: len(lines(text)) >= wanted) and len(lines(text)) == wanted, text.said())
    odd = [line for line in lines(text) if not LINE.fullmatch(line)]
    check.same("query log: every line has its fields, and nothing else", odd, [])
    check.same("query log: text is plain ASCII, whatever names are",
               [c for c in text.said() if not (" " <= c <= "~" or c == "\n")], [])
    check.that("query log: transport, type and rcode",
               any(f"transport=tcp name={QUESTION} type=SRV rcode=NOERROR" in line
                   for line in lines(text)), text.said())
    check.that("query log: what had no question", any("rcode=FORMERR" in line and "name=" not in line
                                                      for line in lines(text)), text.said())
    until(lambda: len(lines(other, '"query"')) >= wanted)
    events = [json.loads(line) for line in lines(other)]
    told = [event for event in events if event["message"] == "query"]
    names = [unescaped(event["name"])[0] for event in told if "name" in event]
    check.same("query log: JSON has every name, to the octet",
               sorted(names), sorted([*HOSTILE, b"_demo"]))
    check.that("query log: JSON has numbers and truths as such",
               all(type(event["size"]) is int and type(event["took_ms"]) is float
                   and type(event["cached"]) is bool for event in told), told)
    check.same("query log: --log info logs nothing else here", len(events), wanted)

    daemon = bed.gathersrv(*two(a, b), "--query-log", "1/10", "--cache", "1000")
    count = 2000
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect((daemon.host, daemon.port))
        for n in range(count):
            sock.send(wire([b"sampled"], n))
            sock.recv(65535)
    # 200 are expected; thirteen would be the odds of one in 10^20 on either side.
    until(lambda: len(lines(daemon, "query")) > 80)
    daemon.end()
    logged = lines(daemon, "query")
    check.that("query log: one of ten is about one of ten", 80 < len(logged) < 340, len(logged))
    check.that("query log: what was kept is told apart",
               sum("cached=true" in line for line in logged) > 60, logged[:3])

    port = text.port
    text.end()
    path = bed.dir / "Logged"
    block = f"""{Z}:{port} {{
  bind 127.0.0.1
  gathersrv {Z} {{
    {A} a- {a.at}
    {B} b- {b.at}
  }}
"""
    path.write_text(block + "}\n")
    daemon = bed.configured(path, port)
    ask.ask(daemon, QUESTION, "SRV")
    check.same("without 'log' in the Corefile nothing is logged", lines(daemon, "query"), [])
    path.write_text(block + "  log\n}\n")
    check.that("'log' in the Corefile, by a change: queries are logged", until(
        lambda: shape(ask.ask(daemon, QUESTION, "SRV")) == WHOLE
        and lines(daemon, "query client=")), daemon.said())


def ask_many(daemon, round_):
    """Questions for names that go to all workers; answers are not waited for."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for n in range(20):
            sock.sendto(wire([b"n%d-%d" % (round_, n)], n), (daemon.host, daemon.port))


def changes(bed, check, a, b, style):
    daemon = bed.gathersrv(*two(a, b), "--workers", "2", "--log-format", style, "--on-missing",
                           "partial", "--deadline", "200ms")
    b.send(signal.SIGSTOP)
    end, round_ = time.monotonic() + OUT_TIME, 0
    # On after the first line: the other worker has to notice as well.
    while round_ < 12 or (time.monotonic() < end and not lines(daemon, "is out")):
        ask_many(daemon, round_)
        round_ += 1
        time.sleep(0.15)
    time.sleep(1)
    b.send(signal.SIGCONT)
    until(lambda: lines(daemon, "of distributed.local. is back"))
    # What a second worker would still say.
    time.sleep(2)
    said = daemon.said()
    server = re.escape(b.at)
    for what in (rf"server {server} is out: it left [2-9]\d* questions unanswered, and was "
                 r"(never heard|last heard \d+\.\d s ago)",
                 rf"cluster {B} b- of {Z} is missing: its server is out \({server}\)",
                 rf"server {server} is back after \d+\.\d s",
                 rf"cluster {B} b- of {Z} is back after \d+\.\d s"):
        check.same(f"{style}: two workers, told once: {what[:40]}", len(re.findall(what, said)), 1)
    check.same(f"{style}: and nothing else", len(lines(daemon)), 4)
    if style == "json":
        events = [json.loads(line) for line in lines(daemon)]
        check.same("json: events have names that stay",
                   [event["event"] for event in events],
                   ["server_out", "cluster_missing", "server_back", "cluster_back"])
        check.that("json: facts are fields",
                   events[0]["server"] == b.at and events[0]["questions"] >= 2
                   and events[1]["zone"] == Z and events[1]["cluster"] == B + " b-"
                   and events[2]["seconds"] > 1, events)
    else:
        check.that("text: no colours where no terminal is", "\x1b" not in said, said)
    check.same(f"{style}: it ends", daemon.end(), 0)


def capture(bed, number, *at):
    """A real collector, which writes to a file."""
    path = bed.dir / f"tap-{number}"
    words = ["fstrm_capture", "-t", CONTENT.decode(), *at, "-w", path]
    return bed.server(words, None), path


def read_taps(bed, path, *how):
    code, out, told = bed.run("dnstap-ldns", *how, "-r", path)
    if code:
        raise RuntimeError("dnstap-ldns: " + told)
    return out


def kinds(out, name):
    """How often each kind of message is about a name."""
    found = {}
    for line in out.splitlines():
        words = line.split()
        if len(words) > 6 and words[6].strip('"').lower() == name.lower():
            found[words[2], words[4]] = found.get((words[2], words[4]), 0) + 1
    return found


def real_collector(bed, check, a, b):
    path = bed.dir / "tap.sock"
    collector, file = capture(bed, 1, "-u", path)
    until(path.exists)
    daemon = bed.gathersrv(*two(a, b), "--dnstap", f"unix:{path}")
    check.that("dnstap: the log says where it goes",
               until(lambda: lines(daemon, f"dnstap goes to unix:{path}")), daemon.said())
    for tcp in (False, True):
        check.same(f"dnstap: answers are as ever (tcp={tcp})",
                   shape(ask.ask(daemon, QUESTION, "SRV", tcp=tcp)), WHOLE)
    # A collector that goes away and comes back.
    time.sleep(0.3)
    collector.end()
    path.unlink(missing_ok=True)
    check.same("dnstap: a collector that is gone is nothing to queries",
               shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)
    check.that("dnstap: the log says that it is gone",
               until(lambda: lines(daemon, "dnstap does not reach")), daemon.said())
    again, second = capture(bed, 2, "-u", path)
    check.that("dnstap: and that it is there again",
               until(lambda: len(lines(daemon, "dnstap goes to")) == 2), daemon.said())
    ask.datagram(daemon, wire([b"later"]))
    check.same("dnstap: the end is orderly", daemon.end(), 0)
    again.end()

    out = read_taps(bed, file)
    check.same("dnstap: a client's queries and answers, over UDP and TCP", kinds(out, QUESTION),
               {("CQ", "UDP"): 1, ("CR", "UDP"): 1, ("CQ", "TCP"): 1, ("CR", "TCP"): 1})
    for suffix in (A, B):
        name = "_demo._tcp.demo-service.default.svc." + suffix
        check.same(f"dnstap: sub-questions to {suffix} and what came back", kinds(out, name),
                   {("FQ", "UDP"): 2, ("FR", "UDP"): 2})
    told = read_taps(bed, file, "-y")
    for what in (f'identity: "{socket.gethostname()}"', 'version: "gathersrv ',
                 "type: CLIENT_RESPONSE", "type: FORWARDER_QUERY", "socket_protocol: UDP",
                 "socket_protocol: TCP", "query_port:", f"response_port: {daemon.port}",
                 f"response_port: {a.port}", f'query_address: "{daemon.host}"', "query_time:",
                 "response_time:", "opcode: QUERY, rcode: NOERROR"):
        check.that(f"dnstap: {what}", what in told, told[:3000])
    _, out, _ = bed.run("kdig", "-G", file)
    record = rf"^{re.escape(QUESTION)}\s+30\s+IN\s+SRV\s+0 50 8080 a-demo-service-0\."
    check.same("dnstap: kdig reads both answers as they were sent",
               len(re.findall(record, out, re.M)), 2)
    later = read_taps(bed, second)
    check.same("dnstap: after the collector came back", kinds(later, "later." + Z),
               {("CQ", "UDP"): 1, ("CR", "UDP"): 1})


def over_tcp(bed, check, a, b):
    """A collector on a port."""
    port = free_port()
    collector, file = capture(bed, 3, "-a", "127.0.0.1", "-p", str(port))
    daemon = bed.gathersrv(*two(a, b), "--dnstap", f"tcp:127.0.0.1:{port}")
    check.that("dnstap over TCP: it is reached, now or a little later",
               until(lambda: lines(daemon, "dnstap goes to tcp:")), daemon.said())
    ask.datagram(daemon, wire([b"overtcp"]))
    daemon.end()
    collector.end()
    check.same("dnstap over TCP: it arrives", kinds(read_taps(bed, file), "overtcp." + Z),
               {("CQ", "UDP"): 1, ("CR", "UDP"): 1})


def bad_collectors(bed, check, a, b):
    """One that speaks something else, and one that reads nothing."""
    path = bed.dir / "bad.sock"
    server = socket.socket(socket.AF_UNIX)
    bed.sockets.append(server)
    server.bind(str(path))
    server.listen(8)
    served = {"greeted": 0}
    held = []

    def serve():
        # The first is answered in another protocol, the others as they should
        # be, and then not read any more.
        while True:
            try:
                conn, _ = server.accept()
            except OSError:
                return
            conn.settimeout(5)
            try:
                conn.recv(4096)
                if not held:
                    conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                else:
                    field = struct.pack("!II", 1, len(CONTENT)) + CONTENT
                    frame = struct.pack("!I", 1) + field
                    conn.sendall(struct.pack("!II", 0, len(frame)) + frame)
                    served["greeted"] += 1
            except OSError:
                pass
            held.append(conn)

    threading.Thread(target=serve, daemon=True).start()
    daemon = bed.gathersrv(*two(a, b), "--cache", "1000", "--dnstap", f"unix:{path}")
    check.that("dnstap: a collector that speaks something else is told",
               until(lambda: lines(daemon, "it does not speak frame streams")), daemon.said())
    until(lambda: served["greeted"])
    asked = answered = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((daemon.host, daemon.port))
        packets = [wire([b"x"], n) for n in range(50)]
        # Nine megabytes of copies and more, at a kilobyte for a query.
        while asked < 20_000 and not lines(daemon, "entries were dropped"):
            for packet in packets:
                sock.send(packet)
            asked += len(packets)
            while answered < asked and select.select([sock], [], [], 5)[0]:
                sock.recv(65535)
                answered += 1
            if answered < asked:
                break
    check.same("dnstap: a collector that reads nothing costs no answer", answered, asked)
    check.that("dnstap: what it does not take is dropped, and told",
               until(lambda: lines(daemon, "entries were dropped")), (asked, daemon.said()))
    with open(f"/proc/{daemon.child.pid}/status") as status:
        memory = int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
    check.that("dnstap: and memory is bounded (64 MiB)", memory < 65_536, memory)
    check.same("dnstap: nor does it keep the daemon from ending", daemon.end(), 0)
    for conn in held:
        conn.close()


def unread(bed, check, a, b):
    """A log that nobody read stopped the main thread: it neither ended nor told
    the service manager that all is well."""
    manager = Manager(bed.dir, "unread")
    bed.sockets.append(manager)
    fifo = bed.dir / "unread.log"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    room = fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    daemon = bed.gathersrv(*two(a, b), "--query-log", "1", under=(
        "env", f"NOTIFY_SOCKET={manager.path}", "WATCHDOG_USEC=400000",
        "sh", "-c", f'exec "$0" "$@" 2>{fifo}'))
    # Twice what there is room for.
    answered = [ask.datagram(daemon, wire([b"unread"], n)) for n in range(2 * room // 100)]
    check.that("a full log: every query is answered", all(answered), len(answered))
    held = struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4))[0]
    check.that("and it is full", held > room - 400, (held, room))
    for _ in range(3):
        daemon.send(signal.SIGHUP)
        check.that("it reads its configuration again", manager.wait("READY=1", 5), manager.told)
    manager.hear(0.1)
    check.that("and tells the service manager that all is well",
               manager.wait("WATCHDOG=1", 5), manager.told)
    check.same("SIGTERM ends it", daemon.end(), 0)
    os.close(reader)


def gone(bed, check, a, b):
    """Who read what it prints, or its log, was gone, and it panicked."""
    port = free_port()
    for number in (1, 2):
        reader, writer = os.pipe()
        os.close(reader)
        words = [bed.binary, *two(a, b), "--listen", f"{LOOPBACK}:{port}", "--query-log", "1"]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL,
                   ("stdout", "stderr")[number - 1]: writer}
        child = subprocess.Popen([str(word) for word in words], preexec_fn=die_with_parent,
                                 stdin=subprocess.DEVNULL, **streams)
        os.close(writer)

        def answered():
            query = dns.message.make_query(QUESTION, "SRV")
            try:
                return dns.query.udp(query, LOOPBACK, 1, port).answer
            except (OSError, dns.exception.DNSException):
                return None

        try:
            check.that(f"nobody reads stream {number}: it answers", until(answered))
            child.send_signal(signal.SIGHUP)
            time.sleep(0.3)
            check.that(f"nobody reads stream {number}: and goes on", answered())
            child.terminate()
            check.same(f"nobody reads stream {number}: it ends in order", child.wait(END_TIME), 0)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait(END_TIME)


def wrong_words(bed, check, a, b):
    for words, told in ((["--query-log", "2"], "'1/100'"), (["--query-log", "1/0"], "'1/100'"),
                        (["--dnstap", "/run/x.sock"], "'unix:/run/dnstap.sock'"),
                        (["--dnstap", "tcp:localhost:6000"], "'localhost:6000'"),
                        (["--log-format", "xml"], "json")):
        code, out, said = bed.run(bed.binary, *two(a, b), *words)
        check.same(f"wrong words {words}: exit code 2", (code, out), (2, ""))
        check.that(f"wrong words {words}: stderr says {told}", told in said, said)


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    wrong_words(bed, check, a, b)
    query_log(bed, check, a, b)
    unread(bed, check, a, b)
    gone(bed, check, a, b)
    for style in ("text", "json"):
        changes(bed, check, a, b, style)
    real_collector(bed, check, a, b)
    over_tcp(bed, check, a, b)
    bad_collectors(bed, check, a, b)
