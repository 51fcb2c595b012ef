"""A service manager's part: hands over sockets, and hears what it is told.

The protocols are those of `sd_listen_fds` and `sd_notify`: descriptors from 3
on with LISTEN_FDS, and datagrams to NOTIFY_SOCKET.
"""

import os
import socket
import subprocess
import time

from bed import END_TIME, Server, die_with_parent

# The first descriptor that is handed over.
FIRST = 3


class Manager:
    """Hears what a process tells."""

    def __init__(self, folder, name="notify"):
        self.path = str(folder / name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.told = []

    def hear(self, seconds):
        """What is told within this time, as lists of lines."""
        heard = []
        end = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                heard.append(self.socket.recv(65536).decode().splitlines())
            except (TimeoutError, BlockingIOError):
                self.told += heard
                return heard

    def wait(self, word, seconds=END_TIME):
        """The message in which a line begins with `word`; none in time is None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                message = self.socket.recv(65536).decode().splitlines()
            except (TimeoutError, BlockingIOError):
                break
            self.told.append(message)
            if any(line.startswith(word) for line in message):
                return message
        return None

    def close(self):
        self.socket.close()
        os.unlink(self.path)


def listening(host, port, share=False, only_v6=True):
    """A UDP and a TCP socket as a socket unit has them."""
    found = []
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        sock = socket.socket(family, kind)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only_v6))
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(1024)
        found.append(sock)
    return found


class Managed(Server):
    """A daemon as a service manager starts it: with sockets, and an ear."""

    def __init__(self, words, log, sockets=(), **environment):
        self.words, self.log, self.printed = words, log, []
        given = [sock.fileno() for sock in sockets]

        def prepare():
            die_with_parent()
            # Out of the way first: the new numbers may be among the old ones.
            high = [os.dup2(number, 200 + n) for n, number in enumerate(given)]
            for n, number in enumerate(high):
                os.dup2(number, FIRST + n)
                os.close(number)

        # The descriptors are in place only after `prepare`, so none is closed
        # for us; Python's own are closed on exec.
        with open(log, "wb") as errors:
            more = {name: str(value) for name, value in environment.items()}
            if given:
                more["LISTEN_FDS"] = str(len(given))
                words = ["sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh", *words]
            self.child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
                preexec_fn=prepare, close_fds=False, env={**os.environ, **more})
        self.listen()


# What a program sees of /proc under ProcSubset=pid, as our unit has it.
LITTLE_PROC = ("unshare", "--mount", "sh", "-c",
               'mount -t proc -o subset=pid proc /proc && exec "$@"', "sh")


def managed(bed, *words, sockets=(), under=(), **environment):
    """The daemon, ready, as a service manager has it."""
    daemon = start(bed, *words, sockets=sockets, under=under, **environment)
    daemon.read_until("ready")
    return daemon


def start(bed, *words, sockets=(), under=(), **environment):
    """The same, just started."""
    log = bed.dir / f"{len(bed.processes)}.log"
    words = [str(word) for word in (*under, bed.binary, *words)]
    daemon = Managed(words, log, sockets, **environment)
    bed.processes.append(daemon)
    return daemon
