"""What the service manager is told: that the daemon is ready, reads its
configuration again, is well, and stops; and that it is not well when a worker
is stuck."""

import ctypes
import os
import pathlib
import signal
import time

import ask
from bed import LOOPBACK, free_port, two
from manager import Manager, managed, start
from worlds import A, B, seed
from .seed import QUESTION, WHOLE, shape

# Of systemd's, in microseconds; it is told that all is well twice as often.
WATCHDOG = 600_000

# From linux/ptrace.h: one thread of another process can be held.
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

COREFILE = """\
distributed.local.:{port} {{
  bind 127.0.0.1
  gathersrv distributed.local. {{
    {first}
    {second}
  }}
}}
other.:{port} {{
  bind 127.0.0.1
  forward . {at}
}}
"""


def ptrace(request, thread):
    if _libc.ptrace(request, thread, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def worker_of(pid):
    """The thread of a worker."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().startswith("worker-"):
            return int(task.name)
    raise LookupError("no worker")


def watchdog(check, manager, daemon):
    check.that("it is told that all is well", manager.wait("WATCHDOG=1", 5), manager.told)
    thread = worker_of(daemon.child.pid)
    ptrace(PTRACE_SEIZE, thread)
    ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, WALL)
    manager.hear(WATCHDOG / 1e6)
    heard = manager.hear(2 * WATCHDOG / 1e6)
    check.same("with a worker stuck, it is not", heard, [])
    check.that("and the log says why", "are stuck" in daemon.said(), daemon.said())
    ptrace(PTRACE_DETACH, thread)
    check.that("it is again when the worker goes on", manager.wait("WATCHDOG=1", 5), manager.told)
    got = ask.ask(daemon, QUESTION, "SRV")
    check.same("and the worker has lost nothing", shape(got), WHOLE)


def reloads(check, manager, daemon, path, good):
    def change(text):
        path.write_text(text)
        daemon.send(signal.SIGHUP)
        begun = manager.wait("RELOADING=1")
        return begun, manager.wait("READY=1")

    begun, done = change(good.replace("\n  forward", "\n  # The same.\n  forward"))
    moment = [line for line in begun or [] if line.startswith("MONOTONIC_USEC=")]
    now = time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
    check.that("a reload says when it began",
               moment and now - 60e6 < int(moment[0].split("=")[1]) <= now, begun)
    check.same("and that it is done, and what is served", done,
               ["READY=1", "STATUS=serving 1 zone from 2 clusters and 1 forward"])
    _, done = change(good.replace("forward .", "forwards ."))
    check.that("a wrong one comes to its end too, and the status says what is wrong",
               done and done[1].startswith("STATUS=serving 1 zone from 2 clusters and 1 forward; "
                                           "last change refused: ")
               and "forwards" in done[1], done)
    check.same("what is served stays", shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)
    _, done = change(good)
    check.that("and the right one clears that", done and "refused" not in done[1], done)


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    manager = Manager(bed.dir)
    bed.sockets.append(manager)
    port, path = free_port(), bed.dir / "Corefile"
    good = COREFILE.format(port=port, at=a.at, first=f"{A} a- {a.at}", second=f"{B} b- {b.at}")
    path.write_text(good)
    own = {"NOTIFY_SOCKET": manager.path}
    flags = (*two(a, b), "--listen", f"{LOOPBACK}:{port}", "--workers", 2, "--cache", 0)
    daemon = managed(bed, *flags, **own, WATCHDOG_USEC=WATCHDOG)
    daemon.port = port
    check.same("it is told that the daemon is ready, and what is served", manager.wait("READY=1"),
               ["READY=1", "STATUS=serving 1 zone from 2 clusters"])
    check.same("not before it answers", shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)
    watchdog(check, manager, daemon)
    daemon.send(signal.SIGTERM)
    check.that("and that it stops", manager.wait("STOPPING=1"), manager.told)
    check.same("which it does", daemon.end(), 0)

    manager.told.clear()
    daemon = managed(bed, *flags, **own, WATCHDOG_USEC=WATCHDOG, WATCHDOG_PID=1)
    heard = manager.wait("READY=1"), manager.hear(2 * WATCHDOG / 1e6)
    check.same("a watchdog of another process is not ours", heard[1], [])
    daemon.end()

    daemon = start(bed, *flags, "--deadline", "soon", **own)
    daemon.child.wait(10)
    manager.told.clear()
    manager.wait("READY=1", 0.3)
    check.same("wrong words are never ready", [m for m in manager.told if "READY=1" in m], [])
    served(bed, check, manager, path, good, port, own)


def served(bed, check, manager, path, good, port, own):
    daemon = managed(bed, "--config", path, "--cache", "0", **own)
    daemon.port = port
    manager.wait("READY=1")
    reloads(check, manager, daemon, path, good)
    daemon.end()
