"""The test bed: real name servers and the built daemon, on free loopback ports.

Every process is a child that the kernel kills if this one dies, and everything
they write is under one temporary directory, so a run leaves nothing behind
however it ends.
"""

import ctypes
import pathlib
import queue
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import dns.message
import dns.query

ZONES = pathlib.Path(__file__).parent / "zones"
LOOPBACK = "127.0.0.1"

# Seconds a process may take to start or to end, and how often a port that was
# free is taken by somebody else before its use.
START_TIME = 15
END_TIME = 10
PORT_TRIES = 5

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class CannotStart(Exception):
    """A process did not start; what it said is in the text."""


def free_port(host=LOOPBACK):
    """A port free for UDP and TCP, outside the range the system gives away."""
    for _ in range(200):
        port = random.randrange(20000, 32000)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.bind((host, port))
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
                    tcp.bind((host, port))
            return port
        except OSError:
            continue
    raise CannotStart("no free port on " + host)


def zone_text(template, **words):
    """A zone from its template: {suffix}, {net} and what else it names."""
    return (ZONES / (template + ".zone")).read_text().format(**words)


class Process:
    """A child process: its output is collected, and its end is bounded."""

    def __init__(self, words, log):
        self.words = words
        self.log = log
        with open(log, "wb") as errors:
            self.child = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                preexec_fn=die_with_parent,
            )
        self.listen()

    def listen(self):
        """Collects what the child prints."""
        self.lines = queue.Queue()
        self.printed = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def read_until(self, last):
        """Reads standard output up to the line `last`, or to its end."""
        end = time.monotonic() + START_TIME
        while not self.printed or self.printed[-1] != last:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise CannotStart(f"{self.words[0]} printed no '{last}': {self.said()}")
            self.printed.append(line)
        return self.printed

    def said(self):
        """What it wrote to standard error."""
        return pathlib.Path(self.log).read_text(errors="replace")

    def running(self):
        return self.child.poll() is None

    def send(self, number):
        if not self.running():
            return
        self.child.send_signal(number)
        # It stops when each of its threads has; on a busy machine that takes
        # as long as an answer.
        end = time.monotonic() + END_TIME
        while number == signal.SIGSTOP and time.monotonic() < end:
            threads = pathlib.Path(f"/proc/{self.child.pid}/task").glob("*/stat")
            if all(stat.read_text().rsplit(") ", 1)[1].startswith("T") for stat in threads):
                break
            time.sleep(0.005)

    def end(self, number=signal.SIGTERM):
        """Asks it to end, makes it if it does not; its exit code."""
        self.send(number)
        try:
            return self.child.wait(END_TIME)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(END_TIME)
            return "killed"


class Server(Process):
    """A process that answers DNS at `host` and `port`."""

    host = LOOPBACK
    port = 0

    @property
    def at(self):
        return f"{self.host}:{self.port}"


KNOT_CONFIG = """\
server:
    rundir: "{dir}"
    pidfile: "{dir}/knot.pid"
    listen: {host}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
{server}
log:
  - target: stderr
    any: warning
database:
    storage: "{dir}"
template:
  - id: default
    storage: "{dir}"
    semantic-checks: off
    zonefile-sync: -1
    journal-content: none
{more}zone:
"""


class Bed:
    """Everything that runs, ended on leaving."""

    def __init__(self, binary):
        self.binary = binary
        self.processes = []
        self.sockets = []

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="gathersrv-test-"))
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.running():
                process.child.kill()
        for process in self.processes:
            process.child.wait(END_TIME)
        for held in self.sockets:
            held.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _start(self, kind, words):
        log = self.dir / f"{len(self.processes)}.log"
        process = kind([str(word) for word in words], log)
        self.processes.append(process)
        return process

    def server(self, words, port):
        """Any other program that answers DNS on a port of loopback."""
        server = self._start(Server, words)
        server.port = port
        return server

    def knot(self, zones, host=LOOPBACK, port=None, server="", signed=(), cookies=False):
        """A knotd that serves `zones`, texts by name; ready when it answers."""
        for _ in range(PORT_TRIES):
            chosen = port or free_port(host)
            home = pathlib.Path(tempfile.mkdtemp(dir=self.dir, prefix="knot-"))
            modules = "    global-module: mod-cookies\n" if cookies else ""
            config = KNOT_CONFIG.format(dir=home, host=host, port=chosen, server=server,
                                        more=modules)
            for n, (name, text) in enumerate(zones.items()):
                (home / f"{n}.zone").write_text(text)
                config += f"  - domain: {name}\n    file: {n}.zone\n"
                if name in signed:
                    config += "    dnssec-signing: on\n"
            (home / "knot.conf").write_text(config)
            server_process = self._start(Server, ["knotd", "-c", home / "knot.conf"])
            server_process.host, server_process.port = host, chosen
            if self.answers(server_process, list(zones)):
                return server_process
            if server_process.running():
                break  # the port is ours: what is wrong is something else
        raise CannotStart("knotd: " + server_process.said())

    def answers(self, server, names):
        """Whether it comes to answer for these zones."""
        end = time.monotonic() + START_TIME
        while names and time.monotonic() < end and server.running():
            query = dns.message.make_query(names[0], "SOA")
            try:
                reply = dns.query.udp(query, server.host, 0.3, server.port)
            except (OSError, dns.exception.DNSException):
                time.sleep(0.05)
                continue
            if reply.rcode() == 0 and reply.answer:
                names.pop(0)
            else:
                time.sleep(0.05)
        return not names

    def silent(self):
        """A server that takes every query and answers none: 'HOST:PORT'."""
        held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held.bind((LOOPBACK, 0))
        self.sockets.append(held)
        return f"{LOOPBACK}:{held.getsockname()[1]}"

    def gathersrv(self, *words, listen=(LOOPBACK + ":0",), under=()):
        """The daemon, ready; its port is read from its own start lines. `under`
        is a command that starts it.

        Answers are not given again unless a scenario asks for that: what the
        clusters say now is what is checked, TTLs to the second."""
        flags = [word for address in listen for word in ("--listen", address)]
        if "--cache" not in words:
            flags += ["--cache", "0"]
        daemon = self._start(Server, [*under, self.binary, *flags, *words])
        lines = daemon.read_until("ready")
        where = lines[0].split(" on ", 1)[1].split(" (UDP")[0].split(", ")[0]
        daemon.host, port = where.rsplit(":", 1)
        daemon.host, daemon.port = daemon.host.strip("[]"), int(port)
        if daemon.host == "0.0.0.0":
            daemon.host = LOOPBACK
        return daemon

    def configured(self, path, port, *words):
        """The daemon as a Corefile says, ready; it listens on a port of that."""
        daemon = self._start(Server, [self.binary, "--config", path, *words])
        daemon.read_until("ready")
        daemon.port = port
        return daemon

    def run(self, *words, timeout=30, **more):
        """A command to its end: its exit code, standard output and error."""
        done = subprocess.run(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            preexec_fn=die_with_parent,
            **more,
        )
        return done.returncode, done.stdout, done.stderr


def two(a, b, zone="distributed.local.", suffixes=("cluster-a.local.", "cluster-b.local.")):
    """Flags for a zone in front of two clusters, the seed's by default."""
    words = ["--zone", zone]
    for suffix, prefix, server in zip(suffixes, ("a-", "b-"), (a, b)):
        at = server if isinstance(server, str) else server.at
        words += ["--cluster", f"{suffix} {prefix} {at}"]
    return words
