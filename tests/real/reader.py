"""A reader who follows one document, in namespaces of their own: run by the
scenario `documents` under unshare.

They have what the documents take for granted: the addresses 10.8.0.1, 10.9.0.1 and
10.9.0.2 are DNS servers of two clusters, 192.0.2.53 is a resolver, 10.0.0.53 is
theirs and the one of /etc/resolv.conf, and pods have their addresses. All of it is
on the loopback device of this network namespace: no packet leaves it.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import documents
from bed import Bed, zone_text
from checks import Checks

# Seconds for a block, for what a daemon has to print, and for a document.
BLOCK_TIME = 60
DAEMON_TIME = 20
DOCUMENT_TIME = 240

ADDRESSES = ("10.8.0.1", "10.9.0.1", "10.9.0.2", "10.0.0.53", "192.0.2.53")
PODS = {"10.8": (("demo", 1, 2), ("mongo", 4, 2), ("kafka", 5, 2), ("etcd", 3, 2), ("node", 6, 2)),
        "10.9": (("demo", 1, 2), ("mongo", 4, 1), ("kafka", 5, 2), ("etcd", 3, 1), ("node", 6, 1))}
CLUSTERS = (("cluster-a.local.", "10.8", ("10.8.0.1",)),
            ("cluster-b.local.", "10.9", ("10.9.0.1", "10.9.0.2")))
OWN = "gathersrv"


def pods(net):
    """Headless services: their pods' names and addresses, as zone text."""
    ports = {"mongo": ("mongodb", 27017), "kafka": ("kafka", 9092), "node": ("metrics", 9100)}
    lines = []
    for service, subnet, count in PODS[net]:
        if service == "demo":
            continue
        names = [("etcd-client", 2379), ("etcd-server", 2380)] if service == "etcd" else [ports[service]]
        for n in range(count):
            host = f"{service}-{n}.{service}.default.svc"
            lines += [f"{host} A {net}.{subnet}.{n + 1}", f"{service}.default.svc A {net}.{subnet}.{n + 1}"]
            lines += [f"_{name}._tcp.{service}.default.svc SRV 0 50 {port} {host}" for name, port in names]
    lines.append('mongo.default.svc TXT "replicaSet=shop&authSource=admin"')
    return "\n".join(lines) + "\n"


def prepare(bed):
    """The network, the files of /etc that name a resolver, and the servers."""
    own = [f"{net}.{subnet}.{n + 1}" for net, services in PODS.items()
           for _, subnet, count in services for n in range(count)]
    run = lambda *words: subprocess.run(words, check=True, timeout=10)
    run("ip", "link", "set", "lo", "up")
    for address in (*ADDRESSES, *own):
        subprocess.run(["ip", "address", "add", address + "/32", "dev", "lo"], check=False, timeout=10)
    for name, text in (("resolv.conf", "nameserver 10.0.0.53\noptions timeout:2 attempts:2\n"),
                       ("nsswitch.conf", "hosts: files dns\n")):
        (bed.dir / name).write_text(text)
        place = pathlib.Path("/etc", name)
        if place.exists():
            run("mount", "--bind", bed.dir / name, place)
    for suffix, net, hosts in CLUSTERS:
        zones = {name: zone_text("seed", suffix=name, net=net) + pods(net)
                 for name in (suffix, "cluster.local.")}
        for host in hosts:
            bed.knot(zones, host=host, port=53)
    bed.knot({"example.net.": zone_text("example", suffix="example.net.")}, host="192.0.2.53", port=53)


def replica_set(bed):
    """The members of docs/mongodb.md, by the names the document gives them."""
    names = [f"{prefix}-mongo-{n}.mongo.default.svc.distributed.local={net}.4.{n + 1}"
             for prefix, net in (("a", "10.8"), ("b", "10.9"))
             for n in range(next(count for name, _, count in PODS[net] if name == "mongo"))]
    words = [sys.executable, pathlib.Path(__file__).with_name("mongod.py"), "shop", *names]
    bed.server(words, 27017).read_until("ready")


# What a document has beside the network.
MORE = {"mongodb.md": replica_set}


class Terminal:
    """One bash, whose blocks are files: what each printed, and its exit code."""

    def __init__(self, home, binary):
        self.home, self.count, self.daemons = home, 0, []
        self.files = pathlib.Path(tempfile.mkdtemp(dir=home.parent))
        tools = self.files / "bin"
        tools.mkdir()
        (tools / OWN).symlink_to(binary)
        (tools / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (tools / "python3").chmod(0o755)
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}:/usr/sbin:/sbin",
                       "HOME": str(home), "TMPDIR": str(home), "LC_ALL": "C.UTF-8", "TERM": "dumb"}
        self.bash = subprocess.Popen(["bash", "--norc"], stdin=subprocess.PIPE, cwd=home, text=True,
                                     env=environment, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
        # Jobs are groups of their own, so that Ctrl-C reaches all of one.
        self._type("set -mo pipefail")
        # Like `set -e`, without an end to the shell: the first failure counts.
        self._type("trap 'c=$?; [ $failed != 0 ] || { failed=$c; what=$BASH_COMMAND; }' ERR")

    def _type(self, line):
        self.bash.stdin.write(line + "\n")
        self.bash.stdin.flush()

    def _file(self, text):
        self.count += 1
        path = self.files / str(self.count)
        path.write_text(text)
        return path

    def run(self, text):
        """Exit code (of what failed first), the command, and the output."""
        path = self._file(text)
        out, done = f"{path}.out", pathlib.Path(f"{path}.done")
        self._type(f"failed=0 what=; . {path} >{out} 2>&1 </dev/null; "
                   f"printf '%s\\n%s' $failed \"$what\" >{done}.new; mv {done}.new {done}")
        end = time.monotonic() + BLOCK_TIME
        while not done.exists() and time.monotonic() < end and self.bash.poll() is None:
            time.sleep(0.01)
        printed = pathlib.Path(out).read_text(errors="replace") if pathlib.Path(out).exists() else ""
        if not done.exists():
            return "no", "none: it does not come to its end", printed
        code, _, what = done.read_text().partition("\n")
        return int(code), what, printed

    def daemon(self, text, expected):
        """Starts it; whether it came to print what it should, and what it did."""
        path = self._file(text)
        self._type(f". {path} >{path}.out 2>&1 </dev/null & echo $! >{path}.new; mv {path}.new {path}.pid")
        end = time.monotonic() + DAEMON_TIME
        printed, good = "", False
        while not good and time.monotonic() < end:
            time.sleep(0.05)
            if pathlib.Path(f"{path}.out").exists():
                printed = pathlib.Path(f"{path}.out").read_text(errors="replace")
            good = (documents.matches(expected, printed) if expected
                    else "ready" in printed.splitlines())
        if pathlib.Path(f"{path}.pid").exists():
            self.daemons.append((text.split()[0], int(pathlib.Path(f"{path}.pid").read_text())))
        return good, printed

    def stop(self, word):
        """Ctrl-C; whether there was such a daemon and it ended."""
        found = [(name, pid) for name, pid in self.daemons if name == word]
        for entry in found:
            self.daemons.remove(entry)
            os.killpg(entry[1], signal.SIGINT)
        end = time.monotonic() + DAEMON_TIME
        left = {pid for _, pid in found}
        while left and time.monotonic() < end:
            left = {pid for pid in left if _alive(pid)}
            time.sleep(0.02)
        return bool(found) and not left


def _alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def follow(check, terminal, block):
    """Does what a block says."""
    if isinstance(block, documents.Stop):
        check.that(f"{block.place}: Ctrl-C ends {block.word}", terminal.stop(block.word), "it does not")
        return
    name = block.value("file")
    if name:
        path = terminal.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
    if block.language != "sh" or "norun" in block.words:
        return
    first = block.text.strip().splitlines()[0]
    expected = block.output.text if block.output else ""
    if "daemon" in block.words:
        good, printed = terminal.daemon(block.text, expected)
        check.that(f"{block.place}: starts: {first}", good,
                   f"expected:\n{expected or 'ready'}\nprinted:\n{printed}")
        return
    code, what, printed = terminal.run(block.text)
    wanted = int(block.value("fails") or 0)
    check.that(f"{block.place}: runs: {first}", code == wanted,
               f"exit code {code}, expected {wanted}, of: {what}\n{printed}")
    if expected:
        check.that(f"{block.place}: prints what is shown", documents.matches(expected, printed),
                   f"expected:\n{expected}\nprinted:\n{printed}")


def main():
    binary, name = sys.argv[1:]
    check, end = Checks(), time.monotonic() + DOCUMENT_TIME
    with Bed(binary) as bed:
        prepare(bed)
        MORE.get(pathlib.Path(name).name, lambda _: None)(bed)
        home = bed.dir / "home"
        home.mkdir()
        for part in ("deploy", "docs"):
            (home / part).symlink_to(documents.ROOT / part)
        terminal = Terminal(home, binary)
        for block in documents.read(pathlib.Path(name)):
            if time.monotonic() > end:
                check.fail(f"{block.place}: comes in time", f"{DOCUMENT_TIME} s are over")
                break
            follow(check, terminal, block)
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
