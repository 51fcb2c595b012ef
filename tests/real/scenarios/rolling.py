"""A daemon is replaced under load, and no query is lost: by a second process that
shares its ports, and by a restart behind sockets that somebody else holds."""

import collections
import concurrent.futures
import os
import re
import signal
import socket
import struct
import threading
import time

import dns.message
import dns.rrset

import ask
from bed import LOOPBACK, free_port, two
from certificates import Authority
from manager import LITTLE_PROC, listening, managed, start
from worlds import A, B, Z, seed
from .admin import Admin
from .seed import QUESTION, WHOLE, shape

WORKERS = 2
# The load lasts so long, and is replaced meanwhile so many times.
SECONDS, TIMES = 18, 4
# An answer that has not come by then is lost.
PATIENCE = 5
CLIENTS = 3


class Counting:
    """A cluster's server that answers every name and counts how often each was
    asked."""

    def __init__(self):
        self.asked = collections.Counter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, 0))
        self.at = f"{LOOPBACK}:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                wire, client = self.socket.recvfrom(4096)
            except OSError:
                return
            query = dns.message.from_wire(wire)
            name = query.question[0].name
            self.asked[name.to_text().lower()] += 1
            reply = dns.message.make_response(query)
            reply.answer.append(dns.rrset.from_text(name, 300, "IN", "A", "10.8.0.7"))
            self.socket.sendto(reply.to_wire(), client)

    def close(self):
        self.socket.close()


class Load:
    """Clients that count every query: each UDP query has a port of its own, each
    connection some queries, one after the other."""

    def __init__(self, host, port, wire):
        self.at, self.wire = (host, port), wire
        self.asked, self.lost = collections.Counter(), []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(what,), daemon=True)
                        for what in (self._datagram, self._stream) for _ in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(PATIENCE + 5)

    def _ask(self, what):
        while not self.stop.is_set():
            try:
                self.asked[what.__name__] += what()
            except OSError as why:
                self.lost.append(f"{what.__name__}: {why!r}")

    def _datagram(self):
        family = socket.AF_INET6 if ":" in self.at[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.at)
            number = os.urandom(2)
            sock.send(number + self.wire[2:])
            if sock.recv(4096)[:2] != number:
                raise OSError("another's answer")
        time.sleep(0.001)
        return 1

    def _stream(self):
        with socket.create_connection(self.at, timeout=PATIENCE) as sock:
            file = sock.makefile("rb")
            for _ in range(5):
                sock.sendall(struct.pack("!H", len(self.wire)) + self.wire)
                head = file.read(2)
                if len(head) < 2 or len(file.read(struct.unpack("!H", head)[0])) < 12:
                    raise OSError("the connection ended")
                time.sleep(0.002)
        return 5


def perf(bed, port, words, questions):
    """What dnsperf says was sent, completed and lost."""
    _, out, told = bed.run("dnsperf", "-s", LOOPBACK, "-p", port, "-d", questions, "-l", SECONDS,
                           "-t", PATIENCE, *words, timeout=SECONDS + 30)
    sent, completed, lost = (
        int(found.group(1)) if (found := re.search(rf"Queries {what}:\s+(\d+)", out)) else -1
        for what in ("sent", "completed", "lost"))
    return sent, completed, lost, out + told


def loaded(bed, check, what, port, replace):
    """`replace` is called again and again under all kinds of load at once."""
    questions = bed.dir / "questions"
    questions.write_text("".join(f"{QUESTION} SRV\nnone-{n}.{Z} A\n" for n in range(200)))
    wire = ask.query(QUESTION, "SRV").to_wire()
    pool = concurrent.futures.ThreadPoolExecutor(2)
    with Load(LOOPBACK, port, wire) as load, pool:
        udp = pool.submit(perf, bed, port, ("-c", 20, "-Q", 1000), questions)
        tcp = pool.submit(perf, bed, port, ("-m", "tcp", "-c", 8, "-Q", 300,
                                            "-O", "num-queries-per-conn=15"), questions)
        began = time.monotonic()
        for n in range(TIMES):
            time.sleep(max(0, began + (n + 0.5) * SECONDS / TIMES - time.monotonic()))
            replace()
        results = {"UDP": udp.result(), "TCP": tcp.result()}
    for how, (sent, completed, lost, told) in results.items():
        check.that(f"{what}: dnsperf over {how}: {completed} of {sent} answered, {lost} lost",
                   sent > 1000 and completed == sent and lost == 0, told)
    check.that(f"{what}: clients that count: {dict(load.asked)} answered, {len(load.lost)} lost",
               not load.lost and min(load.asked.values()) > 500, load.lost[:10])


def everywhere(bed, check, flags):
    """The same where every address of the host is served, of either family."""
    port = free_port("0.0.0.0")
    hosts = {"0.0.0.0": "127.0.0.2", "[::]": "::1", "[::1]": "::1"}
    wire = ask.query(QUESTION, "SRV").to_wire()
    for at, host in hosts.items():
        words = (*flags, "--listen", f"{at}:{port}", "--take-over")
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
                sock.bind((host, 0))
        except OSError as why:
            check.skip(f"a rolling restart at {at}", why)
            continue
        first = managed(bed, *words)
        with Load(host, port, wire) as load:
            time.sleep(0.5)
            second = managed(bed, *words)
            time.sleep(0.3)
            first.end()
            time.sleep(0.5)
        check.that(f"a rolling restart at {at}: {dict(load.asked)} answered, {len(load.lost)} lost",
                   not load.lost and min(load.asked.values()) > 50, load.lost[:10])
        second.end()


def meet(check, what, daemon, cluster):
    """Each name is asked from many ports, and comes to the cluster once."""
    cluster.asked.clear()
    names = [f"{what}-{n}" for n in range(30)]
    for name in names:
        wire = ask.query(f"{name}.count.local.", "A").to_wire()
        for _ in range(6):
            ask.datagram(daemon, wire)
    asked = {cluster.asked[f"{name}.count-a.local."] for name in names}
    check.same(f"equal questions meet in one worker ({what})", asked, {1})


def share(bed, check, flags, cluster):
    """Two processes on the same ports."""
    port = free_port()
    authority = Authority(bed.dir)
    cert, key = authority.certificate("own", "dns.example")
    every = (*flags, "--listen", f"{LOOPBACK}:{port}", "--listen-tls", f"{LOOPBACK}:{free_port()}",
             "--tls-cert", cert, "--tls-key", key)
    words = (*every, "--workers", WORKERS)
    # The kernel's lists of sockets were looked for where the unit hides them.
    code, _, told = bed.run(*LITTLE_PROC, "true")
    under = LITTLE_PROC if code == 0 else ()
    if not under:
        check.skip("rolling restarts with the unit's /proc", told.strip())
    now = [managed(bed, *words, under=under)]
    now[0].port = port
    code, _, told = bed.run(bed.binary, *words)
    check.that("a second daemon that was not told to share ends, and says how it could",
               code == 1 and "--take-over" in told, told)
    meet(check, "alone", now[0], cluster)
    codes = []

    def replace():
        following = managed(bed, *words, "--take-over", under=under)
        following.port = port
        time.sleep(0.3)
        codes.append(now[0].end())
        now[0] = following

    loaded(bed, check, "rolling restart", port, replace)
    check.same("every process that left ended well", codes, [0] * TIMES)
    settled(now[0])
    meet(check, "taken-over", now[0], cluster)
    # Another number of workers: the places in the group are others.
    wider = managed(bed, *every, "--take-over", "--workers", WORKERS + 1)
    wider.port = port
    now[0].end()
    settled(wider)
    meet(check, "wider", wider, cluster)
    # Without a warning: what is in flight is lost, but nothing after that.
    last = managed(bed, *words, "--take-over")
    last.port = port
    wider.end(signal.SIGKILL)
    settled(last)
    meet(check, "killed", last, cluster)
    began = time.monotonic()
    check.same("the last one ends as ever", last.end(), 0)
    check.that("and soon", time.monotonic() - began < 3)


def a_lame_duck_that_is_followed_said_not_ready_beside_its_follower(bed, check, flags):
    port, admin = free_port(), free_port()
    words = (*flags, "--listen", f"{LOOPBACK}:{port}", "--admin", f"{LOOPBACK}:{admin}", "--take-over",
             "--lame-duck", "600s")
    first, second = managed(bed, *words), managed(bed, *words)
    check.same("a lame duck that is followed does not wait", first.end(), 0)
    ready = {Admin(at=f"{LOOPBACK}:{admin}").get("/ready")[0] for _ in range(20)}
    check.same("and its follower is ready", ready, {200})
    second.send(signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while (ready := Admin(at=f"{LOOPBACK}:{admin}").get("/ready")[0]) == 200 and time.monotonic() < end:
        time.sleep(0.05)
    check.same("the last one waits, and says so", (ready, second.child.poll()), (503, None))
    third = managed(bed, *words)
    check.same("until another follows", second.child.wait(PATIENCE), 0)
    ready = {Admin(at=f"{LOOPBACK}:{admin}").get("/ready")[0] for _ in range(20)}
    check.same("which is ready", ready, {200})
    third.send(signal.SIGTERM)
    time.sleep(0.5)
    check.same("or until it is asked again", (third.child.poll(), third.end()), (None, 0))


def settled(daemon):
    """Waits until it has noticed that it is alone."""
    end = time.monotonic() + 10
    while "ours alone" not in daemon.said() and time.monotonic() < end:
        time.sleep(0.05)


def held(bed, check, flags, cluster):
    """Sockets that are not the daemon's own."""
    port = free_port()
    sockets = listening(LOOPBACK, port)
    every = (*flags, "--listen", f"{LOOPBACK}:{port}")
    wanted = (*every, "--workers", WORKERS)
    now = [managed(bed, *wanted, sockets=sockets)]
    codes = []

    def restart():
        # As `systemctl restart`: the next begins when the last has ended.
        codes.append(now[0].end())
        time.sleep(0.3)
        now[0] = managed(bed, *wanted, sockets=sockets)

    loaded(bed, check, "restart behind held sockets", port, restart)
    check.same("each ended well", codes, [0] * TIMES)
    now[0].end()

    # What was asked while nobody was there waits.
    server = type("At", (), {"host": LOOPBACK, "port": port})
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(ask.ask, server, QUESTION, "SRV", tcp=tcp) for tcp in (False, True)]
        time.sleep(0.5)
        last = managed(bed, *flags, "--cache", 0, sockets=sockets)
        check.same("queries wait for the daemon; without --listen it serves what it is handed",
                   [shape(answer.result()) for answer in waiting], [WHOLE, WHOLE])
    last.end()
    for sock in sockets:
        sock.close()

    # A set for each worker.
    sockets = [sock for _ in range(WORKERS) for sock in listening(LOOPBACK, port, share=True)]
    daemon = managed(bed, *wanted, sockets=sockets)
    daemon.port = port
    meet(check, "handed", daemon, cluster)
    daemon.end()
    # The unit has --take-over whoever holds the sockets.
    daemon = managed(bed, *wanted, "--take-over", sockets=sockets)
    daemon.port = port
    meet(check, "handed-to-share", daemon, cluster)
    daemon.end()
    daemon = managed(bed, *every, "--cache", 0, "--workers", WORKERS + 2, sockets=sockets)
    daemon.port = port
    got = [shape(ask.ask(daemon, QUESTION, "SRV", tcp=n % 2 == 0)) for n in range(20)]
    check.same("sockets are shared by more workers than there are", got, [WHOLE] * 20)
    daemon.end()
    daemon = managed(bed, *every, "--cache", 0, "--workers", 1, sockets=sockets)
    daemon.port = port
    got = [shape(ask.ask(daemon, QUESTION, "SRV", tcp=n % 2 == 0)) for n in range(20)]
    check.same("and one worker reads them all", got, [WHOLE] * 20)
    daemon.end()
    for sock in sockets:
        sock.close()

    a_reload_that_left_a_handed_socket_unread(bed, check, flags)

    sockets = listening("0.0.0.0", port)
    daemon = managed(bed, *flags, sockets=sockets)
    daemon.port = port
    wire = ask.query(QUESTION, "SRV").to_wire()
    got = ask.read(ask.datagram(daemon, wire, host="127.0.0.9"))
    check.same("a wildcard socket answers from the address asked", shape(got), WHOLE)
    daemon.end()
    wrong = start(bed, *flags, "--listen", f"{LOOPBACK}:{free_port()}", sockets=sockets)
    code = wrong.child.wait(10)
    check.that("a socket that nothing is served at is an error that names it",
               code == 1 and f"0.0.0.0:{port}" in wrong.said(), wrong.said())
    for sock in sockets:
        sock.close()


def a_reload_that_left_a_handed_socket_unread(bed, check, flags):
    """What came to it would have waited for ever."""
    port = free_port()
    sockets = listening(LOOPBACK, port)
    zone, first = flags[1], flags[3]
    path = bed.dir / "Handed"
    text = f"{zone}:%d {{\n  bind {LOOPBACK}\n  gathersrv {zone} {{\n    {first}\n  }}\n}}\n"
    path.write_text(text % port)
    daemon = managed(bed, "--config", path, sockets=sockets)
    daemon.port = port
    path.write_text(text % free_port())
    end = time.monotonic() + 10
    while "handed over" not in daemon.said() and time.monotonic() < end:
        time.sleep(0.05)
    check.that("a change that leaves a handed socket without a reader is refused, and says which",
               f"{LOOPBACK}:{port}" in daemon.said(), daemon.said())
    check.same("what was served before goes on", ask.ask(daemon, QUESTION, "SRV").rcode, "NOERROR")
    daemon.end()
    for sock in sockets:
        sock.close()


def activated(bed, check, flags):
    """systemd's own tool hands over a socket when somebody comes."""
    port = free_port()
    server = bed.server(["systemd-socket-activate", "-l", f"{LOOPBACK}:{port}", bed.binary,
                         *flags, "--listen", f"{LOOPBACK}:{port}"], port)
    end = time.monotonic() + 10
    while "Listening on" not in server.said() and time.monotonic() < end:
        time.sleep(0.02)
    got = [shape(ask.ask(server, QUESTION, "SRV", tcp=tcp)) for tcp in (True, False)]
    check.same("systemd-socket-activate hands over TCP, and UDP is bound beside it", got, [WHOLE] * 2)
    server.end()


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    cluster = Counting()
    bed.sockets.append(cluster)
    flags = (*two(a, b), "--zone", "count.local.", "--cluster", f"count-a.local. a- {cluster.at}")
    share(bed, check, flags, cluster)
    everywhere(bed, check, flags)
    a_lame_duck_that_is_followed_said_not_ready_beside_its_follower(bed, check, flags)
    held(bed, check, flags, cluster)
    activated(bed, check, (*flags, "--cache", 0))
