"""The part of the package scenario that runs inside the namespaces: a Debian
with nothing but its base is given the package, answers, is upgraded, and is
left as it was.

  packaged.py BINARY ROOT PACKAGE NEWER
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import ask
from bed import LOOPBACK, Bed, Server, die_with_parent
from checks import Checks
from manager import Manager
from scenarios.seed import QUESTION, WHOLE, shape
from scenarios.unit import NOBODY
from worlds import A, B, seed

# What dpkg itself writes down.
OWN = re.compile(r"^var/(lib/dpkg|log|cache)(/|$)")
# The resolver of this host, as /etc/resolv.conf names it.
RESOLVER = "127.0.0.53"
PLACES = {"etc/gathersrv/Corefile", "etc/default/gathersrv", "usr/bin/gathersrv",
          "usr/lib/systemd/system/gathersrv.service", "usr/lib/systemd/system/gathersrv@.service",
          "usr/share/man/man1/gathersrv.1.gz", "usr/share/doc/gathersrv/copyright",
          "usr/share/bash-completion/completions/gathersrv",
          "usr/share/zsh/vendor-completions/_gathersrv",
          "usr/share/fish/vendor_completions.d/gathersrv.fish",
          "usr/share/doc/gathersrv/examples/gathersrv.socket"}
# What an editor would do to the example.
EXAMPLE = re.compile(r"^#distributed\.local\. \{\n(?:#.*\n)*?#\}$", re.M)


class Root:
    """A Debian in a directory."""

    def __init__(self, bed, path):
        self.bed, self.path = bed, pathlib.Path(path)

    def run(self, *words):
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return self.bed.run("chroot", self.path, *words, timeout=60, env=quiet)

    def files(self):
        found = {str(file.relative_to(self.path)) for file in self.path.rglob("*")}
        return {name for name in found if not OWN.match(name)}

    def unit(self, name="gathersrv.service"):
        return (self.path / "usr/lib/systemd/system" / name).read_text()

    def command(self):
        """ExecStart as systemd would run it."""
        line = re.search(r"^ExecStart=(.*)$", self.unit(), re.M)[1]
        defaults = (self.path / "etc/default/gathersrv").read_text()
        flags = re.search(r"^GATHERSRV_FLAGS=(.*)$", defaults, re.M)[1]
        words = [word for part in line.split()
                 for word in (shlex.split(flags) if part == "$GATHERSRV_FLAGS" else [part])]
        return ["chroot", str(self.path), *NOBODY, *words]


class Started(Server):
    """The daemon as the unit starts it: it may write nothing down."""

    def __init__(self, words, log):
        super().__init__(["sh", "-c", 'umask 0777; exec "$@"', "sh", *words], log)


def answers(bed, check, root, manager):
    """From the package to an answer."""
    os.environ["NOTIFY_SOCKET"] = "/run/notify"
    log = bed.dir / "daemon.log"
    daemon = Started(root.command(), log)
    bed.processes.append(daemon)
    ready = manager.wait("READY=1")
    check.that("it starts as it was installed, and is ready", ready, daemon.said())
    code, out, _ = bed.run("dig", "@127.0.0.1", "-p", 1053, "+short", "www.example", "A")
    check.same("and answers what this host would", (code, out.split()), (0, ["192.0.2.80"]))
    corefile = root.path / "etc/gathersrv/Corefile"
    corefile.write_text(EXAMPLE.sub(lambda found: re.sub("^#", "", found[0], flags=re.M),
                                    corefile.read_text()))
    manager.wait("STATUS=serving 1 zone from 2 clusters")
    server = type("At", (), {"host": LOOPBACK, "port": 53})
    check.same("the file's example is put to use, and two clusters' answer is one",
               shape(ask.ask(server, QUESTION, "SRV")), WHOLE)
    check.same("it ends", daemon.end(), 0)


def prepare(bed, root):
    for words in (["ip", "link", "set", "lo", "up"],
                  ["ip", "address", "add", "10.8.0.1/32", "dev", "lo"],
                  ["ip", "address", "add", "10.9.0.1/32", "dev", "lo"]):
        subprocess.run(words, check=True, timeout=10, preexec_fn=die_with_parent)
    bed.knot({A: seed(A, "10.8")}, host="10.8.0.1", port=53)
    bed.knot({B: seed(B, "10.9")}, host="10.9.0.1", port=53)
    bed.knot({"example.": "example. 60 SOA ns.example. root.example. 1 60 60 60 60\n"
                          "example. 60 NS ns.example.\nns.example. 60 A 192.0.2.53\n"
                          "www.example. 60 A 192.0.2.80\n"}, host=RESOLVER, port=53)
    (root.path / "etc/resolv.conf").write_text(f"nameserver {RESOLVER}\n")


def main():
    binary, path, package, newer = sys.argv[1:]
    check = Checks()
    with Bed(binary) as bed:
        root = Root(bed, path)
        prepare(bed, root)
        manager = Manager(root.path / "run", "notify")
        before = root.files()
        code, out, told = root.run("dpkg", "-i", "/" + package)
        check.that("the package installs on a bare Debian", code == 0, out + told)
        there = root.files() - before
        check.same("what belongs to it is there", PLACES - there, set())
        wants = "etc/systemd/system/multi-user.target.wants/gathersrv.service"
        check.that("and it starts with the system", wants in there, there)
        installed = (root.path / "etc/gathersrv/Corefile").read_text()
        check.same("the copyright names both licences",
                   [word in (root.path / "usr/share/doc/gathersrv/copyright").read_text()
                    for word in ("Expat", "common-licenses/Apache-2.0")], [True, True])
        code, out, told = root.run("gathersrv", "check", "--config", "/etc/gathersrv/Corefile")
        check.that("its configuration is right, and serves this host alone",
                   code == 0 and "bind 127.0.0.1" in installed, out + told)
        answers(bed, check, root, manager)
        edited = (root.path / "etc/gathersrv/Corefile").read_text()
        code, out, told = root.run("dpkg", "--force-confdef", "-i", "/" + newer)
        check.that("an upgrade, with another Corefile in it", code == 0, out + told)
        check.same("keeps the one that was edited",
                   (root.path / "etc/gathersrv/Corefile").read_text(), edited)
        check.that("which is still served", wants in root.files())
        code, out, told = root.run("dpkg", "--remove", "gathersrv")
        check.same("removed, the configuration stays",
                   (code, (root.path / "etc/gathersrv/Corefile").read_text()), (0, edited))
        check.that("and the daemon is gone", not (root.path / "usr/bin/gathersrv").exists())
        code, out, told = root.run("dpkg", "--purge", "gathersrv")
        check.same("purged, there is nothing left of it", (code, root.files() ^ before), (0, set()))
        manager.close()
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
