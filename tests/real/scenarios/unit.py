"""The rights that deploy/systemd/gathersrv.service gives are enough, and few: an
ordinary user with one capability serves port 53, and every system call is one
that the unit allows."""

import os
import pathlib
import re
import shutil
import signal
import time

import ask
from bed import LOOPBACK, two
from certificates import Authority
from manager import Manager
from worlds import A, B, seed
from .seed import QUESTION, WHOLE, shape

UNIT = pathlib.Path(__file__).parents[3] / "deploy/systemd/gathersrv.service"
# What a privileged port takes, and nothing else.
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs",
          "--inh-caps", "-all,+net_bind_service", "--ambient-caps", "-all,+net_bind_service",
          "--bounding-set", "-all,+net_bind_service")
# Of a shared machine's exposure, in tenths: systemd calls up to 2.0 "OK".
EXPOSURE = 20


def calls_of(bed, name):
    """The system calls in a set of systemd's."""
    _, out, _ = bed.run("systemd-analyze", "syscall-filter", name)
    found = set()
    for line in out.splitlines():
        word = line.strip()
        if word.startswith("@") and word != name:
            found |= calls_of(bed, word)
        elif re.fullmatch(r"[a-z0-9_]+", word):
            found.add(word)
    return found


def allowed(bed):
    """The system calls that the unit allows, by its own lines."""
    found = set()
    for line in UNIT.read_text().splitlines():
        if not line.startswith("SystemCallFilter="):
            continue
        words = line.split("=", 1)[1]
        taken = words.startswith("~")
        for word in words.lstrip("~").split():
            names = calls_of(bed, word) if word.startswith("@") else {word}
            found = found - names if taken else found | names
    return found


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    # Others may use the binary where the build folder is nobody's business.
    binary = bed.dir / "gathersrv"
    shutil.copy(bed.binary, binary)
    os.chmod(bed.dir, 0o755)
    if os.geteuid() == 0:
        bed.binary, own = str(binary), bed.binary
        daemon = bed.gathersrv(*two(a, b), listen=(f"{LOOPBACK}:853",), under=NOBODY)
        check.same("an ordinary user with CAP_NET_BIND_SERVICE alone serves a low port",
                   shape(ask.ask(daemon, QUESTION, "SRV")), WHOLE)
        status = pathlib.Path(f"/proc/{daemon.child.pid}/status").read_text()
        rights = [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapBnd"))]
        check.same("and has no other right", rights, ["0000000000000400"] * 2)
        daemon.end()
        bed.binary = own

    authority = Authority(bed.dir)
    cert, key = authority.certificate("own", "dns.example")
    # Not beside the certificates: changes there are looked at.
    (bed.dir / "trace").mkdir()
    trace = bed.dir / "trace" / "calls"
    # As the unit starts it: shared ports, and a manager that wants to hear.
    manager = Manager(bed.dir)
    bed.sockets.append(manager)
    told = ("env", f"NOTIFY_SOCKET={manager.path}", "WATCHDOG_USEC=1000000")
    daemon = bed.gathersrv(*two(a, b), "--listen-tls", f"{LOOPBACK}:0", "--tls-cert", cert,
                           "--tls-key", key, "--take-over", "--admin", f"{LOOPBACK}:0",
                           under=(*told, "strace", "-f", "-qq", "-o", trace))
    check.that("ready, as the unit waits for it", manager.wait("READY=1"), manager.told)
    other = bed.gathersrv(*two(a, b), "--take-over", listen=(f"{LOOPBACK}:{daemon.port}",))
    for tcp in (False, True):
        ask.ask(daemon, QUESTION, "SRV", tcp=tcp)
    renewed = authority.certificate("renewed", "dns.example")
    for file, new in zip((cert, key), renewed):
        os.replace(new, file)
    time.sleep(1.5)
    check.that("and well", manager.wait("WATCHDOG=1"), manager.told)
    # strace passes the end on to what it started.
    os.kill(int(bed.run("pgrep", "-P", daemon.child.pid)[1].split()[0]), signal.SIGTERM)
    daemon.child.wait(20)
    other.end()
    seen = set(re.findall(r"^\d+\s+([a-z0-9_]+)\(", trace.read_text(), re.MULTILINE))
    # The program itself is started by systemd, before the filter holds.
    outside = seen - allowed(bed) - {"execve"}
    check.that(f"{len(seen)} system calls are used, and the unit allows them all",
               len(seen) > 20 and not outside, outside or seen)
    written = re.findall(r"open(?:at)?\([^)]*O_(?:WRONLY|RDWR|CREAT)[^)]*\)", trace.read_text())
    written = [call for call in written if "/dev/" not in call]
    check.same("no file is written", written, [])

    ours = [name for name in UNIT.parent.iterdir() if name.suffix in (".service", ".socket")]
    for file in ours:
        (bed.dir / file.name).write_text(file.read_text().replace("/usr/bin/gathersrv", bed.binary))
    copy = bed.dir / "gathersrv.service"
    instance = bed.dir / "gathersrv@next.service"
    instance.write_text((bed.dir / "gathersrv@.service").read_text())
    code, out, err = bed.run("systemd-analyze", "verify", "--man=no", copy, instance,
                             bed.dir / "gathersrv.socket")
    check.same("systemd has nothing to say against the units", (code, out + err), (0, ""))
    settings = [{line for line in file.read_text().splitlines() if re.match(r"[A-Z]\w+=", line)}
                for file in (copy, instance)]
    check.same("the second instance has the same rights",
               {line.split("=")[0] for line in settings[0] ^ settings[1]}, {"Description", "WantedBy"})
    code, out, _ = bed.run("systemd-analyze", "security", "--offline=true",
                           f"--threshold={EXPOSURE}", copy)
    last = [line for line in out.splitlines() if "exposure" in line]
    check.that("its exposure is small: " + " ".join(last).strip("→ "), code == 0, out)
