"""The image that the Dockerfile makes, as far as it can be without an engine:
what scripts/static builds runs in a root that holds nothing but what the
Dockerfile puts there, as the user and with the words that it says."""

import json
import os
import pathlib
import re
import shutil
import sys
import urllib.request

import ask
from bed import LOOPBACK, Server, free_port, two
from certificates import Authority
from worlds import A, B, seed
from .seed import QUESTION, WHOLE

ROOT = pathlib.Path(__file__).resolve().parents[3]
CLUSTER_NAME = "dns.cluster-a.example"
# Kubernetes mounts a ConfigMap there.
COREFILE = "etc/gathersrv/Corefile"


def last_stage(dockerfile):
    """What the last FROM leaves: (instruction, words) in order."""
    text = re.sub(r"^#.*\n", "", dockerfile, flags=re.M).replace("\\\n", " ")
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    begins = max(n for n, (word, _) in enumerate(lines) if word == "FROM")
    return lines[begins:]


def lint(bed, check):
    linter = pathlib.Path(sys.executable).parent / "hadolint"
    code, out, told = bed.run(linter, ROOT / "Dockerfile")
    check.same("hadolint has nothing to say against the Dockerfile", (code, out + told), (0, ""))
    wrong = bed.dir / "Dockerfile"
    wrong.write_text((ROOT / "Dockerfile").read_text().replace("WORKDIR /build", "RUN cd /build"))
    check.same("and has where a line is wrong", bed.run(linter, wrong)[0], 1)


def context(bed, check):
    """The files that .dockerignore lets through are all that cargo needs."""
    home = bed.dir / "context"
    home.mkdir()
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines()
             if line and not line.startswith("#")]
    check.same(".dockerignore keeps everything out but what it names",
               (lines[0], {line[0] for line in lines[1:]}), ("*", {"!"}))
    for name in (line[1:] for line in lines[1:]):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, home / name)
    code, out, told = bed.run("cargo", "metadata", "--locked", "--no-deps", "--format-version", "1", cwd=home)
    check.that("cargo takes what is left for the package",
               code == 0 and json.loads(out)["packages"][0]["name"] == "gathersrv", told)
    included = [(file.parent / name).resolve() for file in (ROOT / "src").rglob("*.rs")
                for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"', file.read_text())]
    outside = [str(file) for file in included if not file.is_relative_to(ROOT / "src")]
    check.same("no source includes what is left out", outside, [])


def run(bed, check):
    lint(bed, check)
    context(bed, check)
    static = os.environ.get("STATIC", "")
    if not os.access(static, os.X_OK):
        check.skip("the static program in an empty root", "STATIC names none: scripts/static builds it")
        return
    code, out, _ = bed.run("readelf", "--program-headers", static)
    check.same("the program asks for no interpreter and no library",
               (code, "INTERP" in out, "NEEDED" in bed.run("readelf", "-d", static)[1]), (0, False, False))
    if os.geteuid() != 0:
        check.skip("the static program in an empty root", "that takes root")
        return

    stage = last_stage((ROOT / "Dockerfile").read_text())
    words = {word: text for word, text in stage}
    check.same("the last stage begins with nothing", words["FROM"], "scratch")
    command = json.loads(words["ENTRYPOINT"]) + json.loads(words["CMD"])
    image = bed.dir / "image"
    authority = Authority(bed.dir)
    files = {"/image/gathersrv": static, "/etc/ssl/certs/ca-certificates.crt": authority.pem}
    for word, text in stage:
        if word == "COPY":
            _, source, place = text.split()
            target = image / place.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(files.pop(source), target)
    check.same("every file of the image is known here", files, {})

    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    cert, key = authority.certificate("cluster", CLUSTER_NAME)
    port = free_port()
    bed.gathersrv(*two(a, b), "--forward", f"{A} {a.at}", "--listen-tls", f"{LOOPBACK}:{port}",
                  "--tls-cert", cert, "--tls-key", key)
    front, admin = free_port(), free_port()
    (image / COREFILE).parent.mkdir(parents=True)
    # The cluster's certificate is believed because of the authorities in the image.
    (image / COREFILE).write_text(
        f"distributed.local.:{front} {{\n  bind 127.0.0.1\n  gathersrv distributed.local. {{\n"
        f"    {A} a- tls://{LOOPBACK}:{port}#{CLUSTER_NAME}\n    {B} b- {b.at}\n  }}\n}}\n")
    os.chmod(bed.dir, 0o755)
    command = [word.replace("0.0.0.0:9153", f"{LOOPBACK}:{admin}") for word in command]
    check.that("the Dockerfile says where the admin server is", f"{LOOPBACK}:{admin}" in command, command)
    daemon = bed._start(Server, ["chroot", f"--userspec={words['USER']}", image, *command])
    daemon.read_until("ready")
    daemon.port = front
    got = ask.ask(daemon, QUESTION, "SRV")
    check.same("the program alone in its root answers for both clusters, one of them over TLS",
               (got.rcode, sorted(got.answer)), ("NOERROR", sorted(WHOLE[1])))
    check.same("over TCP as well", sorted(ask.ask(daemon, QUESTION, "SRV", tcp=True).answer),
               sorted(WHOLE[1]))
    status = pathlib.Path(f"/proc/{daemon.child.pid}/status").read_text()
    check.same("as a user of its own, with no right", (re.search(r"Uid:\s+(\d+)", status)[1],
                                           re.search(r"CapEff:\s+(\w+)", status)[1]),
               ("10053", "0" * 16))
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://{LOOPBACK}:{admin}/ready", timeout=5) as reply:
        check.same("/ready, as Kubernetes asks for it", reply.status, 200)
    check.same("SIGTERM ends it", daemon.end(), 0)
