"""The configuration changes a hundred times in thirty seconds under load: good,
wrong and other files in turn. No query is lost, nothing grows."""

import os
import pathlib
import re
import signal
import subprocess
import time

import ask
from bed import END_TIME, die_with_parent, free_port, two
from worlds import A, B, seed
from .seed import QUESTION, WHOLE, shape

RELOADS = 100
SECONDS = 30
RATE = 2000


def corefile(port, other, a, b, extra="", prefix="a-"):
    return (f"distributed.local.:{port} {{\n  bind 127.0.0.1\n  gathersrv distributed.local. {{\n"
            f"    {A} {prefix} {a.at}\n    {B} b- {b.at}\n  }}\n}}\n"
            f"other.:{other} {{\n  bind 127.0.0.1\n  forward . {a.at}\n}}\n{extra}")


def memory(daemon):
    status = pathlib.Path(f"/proc/{daemon.child.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.child.pid}/fd"))


def until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    by_flags = bed.gathersrv(*two(a, b))
    by_flags.send(signal.SIGHUP)
    check.that("SIGHUP without a file: nothing but a line in the log",
               until(lambda: "says what it said before" in by_flags.said()), by_flags.said())
    check.same("and it serves on", shape(ask.ask(by_flags, QUESTION, "SRV")), WHOLE)
    by_flags.end()
    port, other, third = free_port(), free_port(), free_port()
    path = bed.dir / "Corefile"
    whole = corefile(port, other, a, b)
    path.write_text(whole)
    daemon = bed.configured(path, port)
    check.same("before: whole", shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)

    another = corefile(port, other, a, b, prefix="c-")
    path.write_text(another)
    name = "c-demo-service-0"
    check.that("a change of the file is served without being asked for", until(
        lambda: name in str(ask.ask(daemon, QUESTION, "SRV").answer)), daemon.said())
    path.write_text("distributed.local. {\n")
    check.that("a mistake is logged with its line", until(
        lambda: "Corefile:1:20: the server block is not closed" in daemon.said()), daemon.said())
    check.that("and what was served is served still",
               name in str(ask.ask(daemon, QUESTION, "SRV").answer))
    path.write_text(another + f"taken.:{a.port} {{\n  bind 127.0.0.1\n  forward . {b.at}\n}}\n")
    check.that("an address that is taken is logged", until(
        lambda: f"cannot listen on 127.0.0.1:{a.port}" in daemon.said()), daemon.said())
    check.that("and what was served is served still",
               name in str(ask.ask(daemon, QUESTION, "SRV").answer))
    # As Kubernetes does it: the file is a link into a directory that a link
    # leads to, and that one is turned round.
    mounted = bed.dir / "mounted"
    for n, text in enumerate((another, whole)):
        (mounted / f"..{n}").mkdir(parents=True)
        (mounted / f"..{n}" / "Corefile").write_text(text.replace(str(other), str(third)))
    (mounted / "..data").symlink_to("..0")
    (mounted / "Corefile").symlink_to("..data/Corefile")
    daemon.end()
    daemon = bed.configured(mounted / "Corefile", port)
    (mounted / "..new").symlink_to("..1")
    (mounted / "..new").rename(mounted / "..data")
    check.that("a ConfigMap that changes is noticed", until(
        lambda: shape(ask.ask(daemon, QUESTION, "SRV")) == WHOLE), daemon.said())
    daemon.end()

    path.write_text(whole)
    daemon = bed.configured(path, port)
    queries = bed.dir / "queries"
    queries.write_text("".join(f"_demo._tcp.demo-service.default.svc.distributed.local. {kind}\n"
                               for kind in ("SRV", "A", "TXT")))
    perf = subprocess.Popen(
        ["dnsperf", "-e", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries), "-l",
         str(SECONDS), "-Q", str(RATE), "-c", "16"], stdout=subprocess.PIPE, text=True,
        preexec_fn=die_with_parent)
    third_block = f"third.:{third} {{\n  bind 127.0.0.1\n  forward . {b.at}\n}}\n"
    # The last of them listens at one address more: other workers, the same
    # sockets at the address that stays.
    elsewhere = whole.replace("bind 127.0.0.1\n  gathersrv", "bind 127.0.0.1 127.0.0.2\n  gathersrv")
    texts = [whole + third_block, "wrong {", corefile(port, other, a, b, prefix="c-"), elsewhere]
    sizes = []
    for n in range(RELOADS):
        path.write_text(texts[n % len(texts)])
        if n % 10 == 0:
            daemon.send(signal.SIGHUP)
        time.sleep(SECONDS / RELOADS)
        if n % len(texts) == len(texts) - 1:
            sizes.append((memory(daemon), descriptors(daemon)))
    out = perf.communicate(timeout=SECONDS + END_TIME)[0]
    lost = int(re.search(r"Queries lost:\s+(\d+)", out)[1])
    sent = int(re.search(r"Queries sent:\s+(\d+)", out)[1])
    check.that(f"{RELOADS} changes under load: no query of {sent} is lost",
               lost == 0 and sent > RATE * SECONDS * 0.9, out)
    check.that("all were answered NOERROR", re.search(r"NOERROR \d+ \(100\.00%\)", out), out)
    early, late = sizes[4], sizes[-1]
    check.that("memory is flat (within 2 MiB)", late[0] <= early[0] + 2048, sizes)
    check.that("no descriptor is left over", late[1] <= early[1] + 2, sizes)
    said = daemon.said()
    check.that("changes and mistakes are counted",
               len(re.findall(r"\(change \d+\)", said)) >= RELOADS * 0.6
               and len(re.findall(r"\(mistake \d+\)", said)) >= RELOADS * 0.2, said[-2000:])
    check.same("at the end: whole", shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)
    check.same("SIGTERM ends it", daemon.end(), 0)
