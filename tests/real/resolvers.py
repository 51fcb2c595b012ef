"""The part of the delegation scenario that runs inside the namespaces.

Addresses are those of docs/delegation.md: the daemon has 10.96.0.53, and each
resolver reads its file from there, unchanged, beside the little that makes it
run here. Where the page says that a line is needed, the resolver is started
without it, too: the answer has to be missing then.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import ask
from bed import Bed, CannotStart, START_TIME, two
from checks import Checks
from scenarios.languages import with_pods
from scenarios.seed import ANSWER, QUESTION
from worlds import A, B, Z, seed

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/delegation.md"
MANY = "many.default.svc." + Z
EXPECTED = sorted(line.split()[-1] for line in ANSWER)
POD = "a-demo-service-0.default.svc." + Z

# The key of the root, so that validation is on: the page says what it needs then.
ROOT_KEY = ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"


def files(heading):
    """The files that the page shows under a heading, at the margin."""
    part = PAGE.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```\w+\n(.*?)^```$", part, re.M | re.S)


def prepare():
    """Loopback with the addresses of the page, and a link that leads nowhere:
    systemd-resolved asks nobody as long as there is none."""
    for words in ("link set lo up", "address add 10.8.0.1/32 dev lo",
                  "address add 10.9.0.1/32 dev lo", "address add 10.96.0.53/32 dev lo",
                  # named listens at addresses of interfaces only.
                  *(f"address add 127.0.0.{n}/32 dev lo" for n in (7, 8, 9)),
                  "link add one type veth peer name other",
                  "address add 192.0.2.1/24 dev one", "link set one up", "link set other up"):
        subprocess.run(["ip", *words.split()], check=True, timeout=10)


def without(text, line):
    """A file without the line that begins so; it has to be there."""
    kept = [one for one in text.splitlines(True) if not one.strip().startswith(line)]
    assert len(kept) == len(text.splitlines()) - 1, (line, text)
    return "".join(kept)


class Resolvers:
    """Starts them, each at an address of its own."""

    def __init__(self, bed):
        self.bed = bed

    def home(self, files):
        home = self.bed.dir / f"resolver-{len(self.bed.processes)}"
        home.mkdir()
        os.chmod(home, 0o777)
        for name, text in files.items():
            (home / name).write_text(text.replace("@HOME@", str(home)))
        return home

    def start(self, host, words):
        """A resolver that listens at `host`, up when it answers at all."""
        server = self.bed.server(words, 53)
        server.host = host
        end = time.monotonic() + START_TIME
        while time.monotonic() < end and server.running():
            try:
                ask.datagram(server, ask.query("version.bind.", "TXT", rdclass="CH").to_wire(), 0.3)
                return server
            except OSError:
                time.sleep(0.05)
        raise CannotStart(f"{words[0]}: {server.said()[-2000:]}")

    def unbound(self, host, text):
        surroundings = ("server:\n  chroot: \"\"\n  username: \"\"\n  use-syslog: no\n"
                        "  directory: \"@HOME@\"\n  pidfile: \"@HOME@/pid\"\n  do-daemonize: no\n"
                        f"  interface: {host}\n  access-control: 127.0.0.0/8 allow\n"
                        f"  private-address: 10.0.0.0/8\n  trust-anchor: \"{ROOT_KEY}\"\n"
                        "remote-control:\n  control-enable: no\n"
                        "include: \"@HOME@/distributed.conf\"\n")
        home = self.home({"unbound.conf": surroundings, "distributed.conf": text})
        return self.start(host, ["unbound", "-d", "-c", home / "unbound.conf"])

    def dnsmasq(self, host, text):
        surroundings = (f"listen-address={host}\nbind-interfaces\nno-resolv\nno-hosts\n"
                        "stop-dns-rebind\nlocal=/local/\nuser=\npid-file=@HOME@/pid\n"
                        "conf-file=@HOME@/distributed.conf\n")
        home = self.home({"dnsmasq.conf": surroundings, "distributed.conf": text})
        return self.start(host, ["dnsmasq", "--keep-in-foreground", "-C", home / "dnsmasq.conf"])

    def named(self, host, options, zone):
        key = ROOT_KEY.split("DS ")[1].rsplit(" ", 1)
        surroundings = ("options {\n  directory \"@HOME@\";\n  pid-file \"@HOME@/pid\";\n"
                        "  session-keyfile \"@HOME@/key\";\n  listen-on { " + host + "; };\n"
                        "  listen-on-v6 { none; };\n  dnssec-validation yes;\n"
                        "  managed-keys-directory \"@HOME@\";\n" + options + "};\n"
                        f"trust-anchors {{ . static-ds {key[0]} \"{key[1]}\"; }};\ncontrols {{ }};\n"
                        "include \"@HOME@/distributed.conf\";\n")
        home = self.home({"named.conf": surroundings, "distributed.conf": zone})
        return self.start(host, ["named", "-g", "-c", home / "named.conf"])

    def resolved(self, program, text):
        """In a mount namespace within ours, where /run is its own and there is
        a user for it."""
        home = self.home({"distributed.conf": text})
        for name in ("passwd", "group"):
            shutil.copy(f"/etc/{name}", home / name)
            with open(home / name, "a") as file:
                file.write("systemd-resolve:x:65533:65533::/:\n" if name == "passwd"
                           else "systemd-resolve:x:65533:\n")
        script = (f"mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/resolve "
                  f"/run/systemd/resolved.conf.d && chown 65533:65533 /run/systemd/resolve && "
                  f"cp {home}/distributed.conf /run/systemd/resolved.conf.d/ && "
                  f"exec {program}")
        for name in ("passwd", "group"):
            script = f"mount --bind {home}/{name} /etc/{name} && " + script
        return self.start("127.0.0.53", ["unshare", "--mount", "sh", "-c", script])


def names(answer):
    return sorted(line.split()[-1] for line in answer.answer)


def dig(bed, server, *words):
    _, out, _ = bed.run("dig", "@" + server.host, "+tries=1", "+time=8", *words)
    try:
        return ask.printed(out)
    except ValueError:
        return ask.Answer("none", [], [], [], [])


def examine(bed, check, what, server):
    """The merged answer, one pod's address, and an answer that needs TCP."""
    for how in ("+notcp", "+tcp"):
        got = dig(bed, server, how, "SRV", QUESTION)
        check.same(f"{what}: the members of both clusters ({how})", (got.rcode, names(got)),
                   ("NOERROR", EXPECTED))
    got = dig(bed, server, "A", POD)
    check.same(f"{what}: the address of one of them", (got.rcode, names(got)),
               ("NOERROR", ["10.8.1.2"]))
    got = dig(bed, server, "A", MANY)
    check.same(f"{what}: 120 addresses, over TCP if need be", (got.rcode, len(set(names(got)))),
               ("NOERROR", 120))


def missing(bed, check, what, server, kind, name):
    """The page says that a line is needed, and it is."""
    got = dig(bed, server, kind, name)
    check.that(f"{what}: without that line the answer does not come ({got.rcode})",
               not got.answer, got)


def corefile(bed, check):
    text, = files("CoreDNS")
    path = bed.dir / "Corefile"
    path.write_text(text)
    code, out, told = bed.run(bed.binary, "check", "--config", path)
    check.that("CoreDNS's block is a Corefile that forwards the zone",
               code == 0 and "10.96.0.53:53" in out, out + told)
    path.write_text(text.replace("errors\n", "errors\n    bind 127.0.0.12\n"))
    server = bed.configured(path, 53)
    server.host = "127.0.0.12"
    examine(bed, check, "CoreDNS's block", server)


def resolved(bed, check, start):
    program = next((place for place in (os.environ.get("RESOLVED"), "/lib/systemd/systemd-resolved")
                    if place and os.access(place, os.X_OK)), None)
    if program is None:
        check.skip("systemd-resolved", "there is none on this machine")
        return
    code, _, told = bed.run(program, "--version")
    if code != 0:
        check.skip("systemd-resolved", told)
        return
    text = files("systemd-resolved")[0]
    server = start.resolved(program, text)
    examine(bed, check, "systemd-resolved", server)
    got = dig(bed, server, "A", "printer.local")
    check.same("systemd-resolved: other names in local are not sent", got.rcode, "REFUSED")
    server.end()
    server = start.resolved(program, without(text, "Domains="))
    missing(bed, check, "systemd-resolved, Domains=", server, "SRV", QUESTION)
    server.end()


def main():
    check = Checks()
    with Bed(sys.argv[1]) as bed:
        prepare()
        os.chmod(bed.dir, 0o755)
        for net, name, host in (("10.8", A, "10.8.0.1"), ("10.9", B, "10.9.0.1")):
            bed.knot({name: with_pods(seed(name, net), name, net)}, host=host, port=53)
        bed.gathersrv(*two("10.8.0.1", "10.9.0.1"), listen=["10.96.0.53:53"])
        start = Resolvers(bed)

        text, = files("unbound")
        examine(bed, check, "unbound", start.unbound("127.0.0.2", text))
        for n, line, kind, name in ((3, "domain-insecure", "SRV", QUESTION),
                                    (4, "private-domain", "A", POD)):
            missing(bed, check, "unbound, " + line,
                    start.unbound(f"127.0.0.{n}", without(text, line)), kind, name)
        text, = files("dnsmasq")
        examine(bed, check, "dnsmasq", start.dnsmasq("127.0.0.5", text))
        missing(bed, check, "dnsmasq, rebind-domain-ok",
                start.dnsmasq("127.0.0.6", without(text, "rebind-domain-ok")), "A", POD)
        options, zone = files("BIND")
        examine(bed, check, "BIND", start.named("127.0.0.7", options, zone))
        for n, line, kind, name in ((8, "validate-except", "SRV", QUESTION),
                                    (9, "max-records-per-type", "A", MANY)):
            missing(bed, check, "BIND, " + line,
                    start.named(f"127.0.0.{n}", without(options, line), zone), kind, name)
        resolved(bed, check, start)
        corefile(bed, check)
    print(f"{check.passed} passed, {check.failed} failed, not run: {'; '.join(check.not_run)}")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
