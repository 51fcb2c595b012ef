"""The configuration changes a hundred times in thirty seconds under load: good,
wrong and other files in turn. No query is lost, nothing grows. What is wrong is
told once, and noticed when it is mended, wherever that is."""

import os
import pathlib
import re
import resource
import signal
import subprocess
import time

import ask
from bed import END_TIME, die_with_parent, free_port, two
from certificates import Authority
from checks import until
from worlds import A, B, seed
from .admin import Admin
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


def mistakes(daemon):
    return re.findall(r"\(mistake \d+\)", daemon.said())


def told_once(bed, check, a, b):
    """A wrong configuration was told with every event in its directory, and as
    if nothing were served; reloads were twice among the page's events."""
    home, port, at = bed.dir / "once", free_port(), f"127.0.0.1:{free_port()}"
    home.mkdir()
    path, good = home / "Corefile", corefile(port, free_port(), a, b)
    path.write_text(good)
    daemon = bed.configured(path, port)
    # The admin server begins with a change, and has that among its events.
    good = good.replace("  bind", f"  prometheus {at}\n  bind", 1)
    path.write_text(good)
    until(lambda: "(change 1)" in daemon.said())
    admin = Admin(at=at)
    path.write_text(good.replace("forward .", "forwards ."))
    until(lambda: mistakes(daemon))
    for n in range(3):
        (home / f"other-{n}").write_text("")
        time.sleep(0.3)
    check.same("a mistake is told once, whatever else changes beside it", len(mistakes(daemon)), 1)
    check.that("with what is so: the configuration before it is served",
               "\n1 mistake; what was served before stays\n" in daemon.said()
               and "nothing is served" not in daemon.said(), daemon.said())
    check.same("and counted once", admin.status()["config"]["failures"], 1)
    daemon.send(signal.SIGHUP)
    check.that("who asks is told again", until(lambda: len(mistakes(daemon)) == 2), daemon.said())
    path.write_text(good)
    check.that("and that all is as before, when it is", until(
        lambda: "Corefile is again what is served" in daemon.said()), daemon.said())
    wanted = ["is again what is served", "is not served as it is now (mistake 2)",
              "is not served as it is now (mistake 1)", "is served as it is now (change 1)"]
    events = admin.until(lambda status: len(status["events"]) >= len(wanted))["events"]
    check.that("the page has each once", len(events) == len(wanted) and all(
        what in event["text"] for what, event in zip(wanted, events)), events)
    daemon.end()


def mended_elsewhere(bed, check, a, b):
    """What was wrong in a directory that had not been watched was mended, and
    nobody noticed before SIGHUP."""
    home, port = bed.dir / "elsewhere", free_port()
    home.mkdir()
    path = home / "Corefile"
    whole = corefile(port, free_port(), a, b)
    path.write_text(whole)
    daemon = bed.configured(path, port)
    path.write_text("import more/zones/all.conf\n")
    check.that("an import that is not there is told", until(
        lambda: "there is no file 'more/zones/all.conf'" in daemon.said()), daemon.said())
    (home / "more").mkdir()
    # Its directory comes to be, and is seen to, before the next one does.
    time.sleep(0.5)
    (home / "more/zones").mkdir()
    imported = home / "more/zones/all.conf"
    changed = corefile(port, free_port(), a, b, prefix="c-")
    imported.write_text(changed.replace("gathersrv ", "gathersv ", 1))
    check.that("one that is wrong is told", until(
        lambda: "all.conf:3:3: there is no directive 'gathersv'" in daemon.said()), daemon.said())
    imported.write_text(changed)
    name = "c-demo-service-0"
    check.that("one that is mended is served", until(
        lambda: name in str(ask.ask(daemon, QUESTION, "SRV").answer)), daemon.said())
    secure = (f"tls://distributed.local.:{free_port()} {{\n  bind 127.0.0.1\n"
              f"  tls keys/own.pem keys/own.key\n  gathersrv distributed.local. {{\n"
              f"    {A} a- {a.at}\n    {B} b- {b.at}\n  }}\n}}\n")
    secure = secure.replace("keys/", f"{home}/keys/")
    path.write_text(whole + secure)
    check.that("a certificate that is not there yet is told", until(
        lambda: "keys/own.pem: " in daemon.said()), daemon.said())
    (home / "keys").mkdir()
    time.sleep(0.5)
    Authority(home / "keys").certificate("own", "own.example")
    check.that("and used once it is there", until(
        lambda: shape(ask.ask(daemon, QUESTION, "SRV")) == WHOLE), daemon.said())
    watched = pathlib.Path(f"/proc/{daemon.child.pid}/fdinfo")
    inotify = [text for text in (entry.read_text() for entry in watched.iterdir())
               if "inotify wd:" in text]
    check.same("only what is served is watched: two directories",
               [text.count("inotify wd:") for text in inotify], [2])
    daemon.end()


def without_descriptors(bed, check, a, b):
    """The admin server could not take its new addresses, and a configuration that
    was served was said to be turned down."""
    home, port, at = bed.dir / "few", free_port(), f"127.0.0.1:{free_port()}"
    home.mkdir()
    path, other = home / "Corefile", free_port()
    good = corefile(port, other, a, b, prefix="c-")
    path.write_text(corefile(port, other, a, b))
    daemon = bed.configured(path, port)
    pid = daemon.child.pid
    held = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    # One more: to listen, and not to hand that on.
    limit = next(n for n in range(1, 1 << 16) if n not in held) + 1
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, most))
    path.write_text(good.replace("  bind", f"  prometheus {at}\n  bind", 1))
    check.that("out of files, the admin server stays as it was", until(
        lambda: "the admin server stays as it was: " in daemon.said()), daemon.said())
    check.that("the rest is served, and said to be",
               until(lambda: "(change 1)" in daemon.said()) and not mistakes(daemon), daemon.said())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
    # A worker may have wanted a socket meanwhile.
    check.that("which it is", until(
        lambda: "c-demo-service-0" in str(ask.ask(daemon, QUESTION, "SRV").answer)), daemon.said())
    daemon.send(signal.SIGHUP)
    check.that("SIGHUP tries again", until(lambda: "(change 2)" in daemon.said()), daemon.said())
    check.same("and then it is there", Admin(at=at).get("/health")[0], 200)
    check.same("SIGTERM ends it", daemon.end(), 0)


def answers(daemon, port):
    """Whether it serves there."""
    daemon.port = port
    try:
        return shape(ask.ask(daemon, QUESTION, "SRV")) == WHOLE
    except OSError:
        return False


def out_of_files_a_change_ended_the_daemon(bed, check, a, b):
    """Workers for new addresses began after the change had been accepted, and their
    failure was the end of everything."""
    home, served, other = bed.dir / "fewer", free_port(), free_port()
    home.mkdir()
    path = home / "Corefile"
    path.write_text(corefile(served, other, a, b))
    daemon = bed.configured(path, served, "--workers", "2")
    pid = daemon.child.pid
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    became = []
    for more in range(2, 34, 2):
        limit = max(int(name) for name in os.listdir(f"/proc/{pid}/fd")) + more
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, most))
        wanted = free_port()
        path.write_text(corefile(wanted, other, a, b))
        daemon.send(signal.SIGHUP)
        time.sleep(0.5)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
        changed = until(lambda: answers(daemon, wanted), 0.5)
        became.append("served" if changed else "refused" if answers(daemon, served) else "ended")
        served = wanted if changed else served
    check.that(f"a change with few files left is served or refused: {became}",
               set(became) == {"served", "refused"}, daemon.said())
    check.same("SIGTERM ends it", daemon.end(), 0)


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    by_flags = bed.gathersrv(*two(a, b))
    by_flags.send(signal.SIGHUP)
    check.that("SIGHUP without a file: nothing but a line in the log",
               until(lambda: "says what it said before" in by_flags.said()), by_flags.said())
    check.same("and it serves on", shape(ask.ask(by_flags, QUESTION, "SRV")), WHOLE)
    by_flags.end()
    told_once(bed, check, a, b)
    mended_elsewhere(bed, check, a, b)
    without_descriptors(bed, check, a, b)
    out_of_files_a_change_ended_the_daemon(bed, check, a, b)
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
