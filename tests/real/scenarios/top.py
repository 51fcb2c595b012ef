"""gathersrv top in a real terminal, before the daemon and before what only
pretends to be one; and --once, for scripts."""

import http.server
import json
import os
import re
import shutil
import signal
import threading
import time

import ask
from bed import LOOPBACK, free_port, two
from terminal import PATIENCE, Terminal
from worlds import A, B, Z, seed
from .seed import QUESTION

HOSTILE = {
    "version": "9\x1b]0;owned\x07\x1b[2J", "now": 1e300, "started": -1e300, "ready": True, "workers": 2**31,
    "history": {"step": 1e300, "queries": [1e300, -5, 0] * 900, "failed": [1], "incomplete": []},
    "zones": [{"name": "\x9b31mz\u202e.", "state": "molten", "queries": -1,
               "clusters": [{"suffix": "x" * 5000, "prefix": "\n", "servers": [{"addr": "\x1b[31m"}]}]}],
    "events": [{"at": 0, "level": "loud", "text": "a\r\nb\x1b[5mc"}] * 5000,
}


def admin(daemon):
    """Where the daemon tells how it does."""
    return [line for line in daemon.printed if line.startswith("admin on ")][0].split()[2]


class Pretender:
    """An HTTP server that says what it is told to."""

    def __init__(self, code, body):
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(code)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Answer)
        self.server.daemon_threads = True
        self.at = f"{LOOPBACK}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def once(bed, check, daemon, a, b):
    end = time.monotonic() + PATIENCE
    while True:  # until the last second's answers are counted
        code, out, told = bed.run(bed.binary, "top", "--once", "--admin", admin(daemon))
        if f"zone {Z}  whole" in out or time.monotonic() > end:
            break
        time.sleep(0.1)
    lines = out.splitlines()
    check.same("top --once: exit code 0, nothing on stderr", (code, told), (0, ""))
    for words in (f"gathersrv {version(bed)} at {admin(daemon)}  up ", f"zone {Z}  whole", f"  a- {A}  up",
                  f"    {a.at} udp  up", f"    {b.at} udp  up"):
        check.that(f"top --once says {words!r}", any(line.startswith(words) for line in lines), out)
    check.that("top --once is plain text", all(line.isprintable() for line in lines), out)
    nobody = f"{LOOPBACK}:{free_port()}"
    code, out, told = bed.run(bed.binary, "top", "--once", "--admin", nobody)
    check.same("nobody is there: exit code 1, nothing on stdout", (code, out), (1, ""))
    check.that("nobody is there: the message says what to do",
               "Connection refused" in told and f"--admin {nobody}" in told, told)
    code, _, told = bed.run(bed.binary, "top", "--admin", admin(daemon))
    check.same("no terminal: exit code 1", code, 1)
    check.that("no terminal: the message names --once", "--once" in told, told)
    code, _, told = bed.run(bed.binary, "top", "--admin", "localhost")
    check.same("a wrong address: exit code 2", code, 2)
    check.that("a wrong address: the message shows a right one", "127.0.0.1:9153" in told, told)


def version(bed):
    return bed.run(bed.binary, "--version")[1].split()[1]


def screen(bed, check, daemon, b):
    top = Terminal(bed, [bed.binary, "top", "--admin", admin(daemon), "--interval", "200ms"])
    check.that("all is up: it says so", top.until(f"zone {Z}  whole"), top.screen())
    lines = top.screen()
    check.that("nothing is called trouble", not any(line.startswith("! ") for line in lines), lines)
    check.that("the last line tells the keys", lines[-1].startswith("q quit"), lines)
    b.send(signal.SIGSTOP)
    for n in range(40):
        ask.ask(daemon, f"n{n}.{Z}", "A")
        if any("is down since" in line for line in top.screen()):
            break
    check.that("a cluster falls silent: it is told above all else, with the time",
               top.until(f"! cluster b- {B} of {Z} is down since "), top.screen())
    check.that("the list says so in words", top.until(f"  b- {B}  down for "), top.screen())
    before = "\n".join(top.screen(colours=True)).split("! cluster b-")[0]
    check.same("and in red", re.findall(r"\x1b\[([34][89](?:;5;\d+)?)m", before)[-1:], ["38;5;1"])
    check.that("the event is at the bottom", top.until(f"warn   cluster {B} b- of {Z} is missing"), top.screen())
    b.send(signal.SIGCONT)
    check.that("it comes back: the trouble is up again", top.until(f"  b- {B}  up for "), top.screen())
    top.key("?")
    check.that("? tells the keys", top.until("these keys"), top.screen())
    top.key("x")
    top.key("p")
    check.that("p pauses", top.until("PAUSED"), top.screen())
    top.key("p")
    check.that("p goes on", top.until(lambda lines: lines and lines[-1].startswith("q quit")), top.screen())
    top.resize(40, 10)
    check.that("a tiny terminal has name, rate and zone", top.until(
        lambda lines: len(lines) <= 10 and lines[0].startswith("gathersrv") and "queries/s" in lines[1]
        and any(f"zone {Z}"[:38] in line for line in lines)), top.screen())
    top.key("End")
    check.that("End scrolls to the last", top.until(lambda lines: not any(
        line.startswith("zone ") for line in lines)), top.screen())
    top.key("Home")
    check.that("Home goes back to the first", top.until("zone "), top.screen())
    top.resize(110, 30)
    return top


def leaves(check, top, what):
    """Its terminal is as before: the shell's screen, lines and echo."""
    ended = top.until(lambda lines: {"ended 0", "icanon", "echo"} <= set(lines))
    check.that(f"{what} ends it with 0, and the terminal is as it was", ended, top.screen())


def endings(bed, check, daemon, top):
    top.key("q")
    leaves(check, top, "q")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        top = Terminal(bed, [bed.binary, "top", "--admin", admin(daemon)])
        check.that(f"(it runs, before {number.name})", top.until(f"zone {Z}"), top.screen())
        for pid in top.pids("top --admin"):
            os.kill(pid, number)
        leaves(check, top, number.name)
    top = Terminal(bed, [bed.binary, "top", "--admin", admin(daemon)])
    top.until(f"zone {Z}")
    top.key("C-c")
    leaves(check, top, "Control-C")


def silence(bed, check, a, b):
    port = free_port()
    words = [*two(a, b), "--admin", f"{LOOPBACK}:{port}"]
    top = Terminal(bed, [bed.binary, "top", "--admin", f"{LOOPBACK}:{port}", "--interval", "200ms"])
    check.that("no daemon yet: it says so, and how to start one",
               top.until("Connection refused; trying again") and top.until(f"--admin {LOOPBACK}:{port}"),
               top.screen())
    daemon = bed.gathersrv(*words)
    check.that("the daemon comes: it is shown", top.until(f"zone {Z}"), top.screen())
    daemon.end()
    check.that("the daemon goes: it says so, above what it said last",
               top.until("NO ANSWER from") and top.until(f"zone {Z}"), top.screen())
    daemon = bed.gathersrv(*words)
    check.that("another one comes: it is shown", top.until(
        lambda lines: lines and lines[0].startswith("gathersrv")), top.screen())
    daemon.send(signal.SIGSTOP)
    check.that("it hangs: that is told", top.until("no answer within 5s"), top.screen())
    top.key("q")
    leaves(check, top, "q in the middle of that")
    daemon.send(signal.SIGCONT)


def pretenders(bed, check):
    body = json.dumps(HOSTILE).encode()
    with Pretender(200, body) as server:
        code, out, told = bed.run(bed.binary, "top", "--once", "--admin", server.at)
        odd = sorted({c for c in out if c != "\n" and not c.isprintable()})
        check.same("what a stranger says cannot steer the terminal", (code, odd, told), (0, [], ""))
        top = Terminal(bed, [bed.binary, "top", "--admin", server.at])
        check.that("nor from the screen", top.until("zone ?31mz?."), top.screen())
        top.key("q")
        leaves(check, top, "q")
    for code, body, words in ((404, b"", "answers 404 to /status.json"),
                              (200, b"<html>", "is no status of gathersrv"),
                              (200, b"[" * 100_000, "is no status of gathersrv")):
        with Pretender(code, body) as server:
            ended, out, told = bed.run(bed.binary, "top", "--once", "--admin", server.at)
            check.same(f"{code} {body[:6]!r}: exit code 1, nothing on stdout", (ended, out), (1, ""))
            check.that(f"{code} {body[:6]!r}: it says {words!r}", words in told, told)


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    daemon = bed.gathersrv(*two(a, b), "--admin", f"{LOOPBACK}:0")
    for _ in range(5):
        ask.ask(daemon, QUESTION, "SRV")
    once(bed, check, daemon, a, b)
    if not shutil.which("tmux"):
        check.skip("top in a terminal", "there is no tmux")
        return
    pretenders(bed, check)
    ask.ask(daemon, QUESTION, "SRV")
    top = screen(bed, check, daemon, b)
    endings(bed, check, daemon, top)
    silence(bed, check, a, b)
