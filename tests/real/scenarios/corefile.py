"""The plugin's published configuration, served as it is but for addresses and
ports; and the typing error in it, caught before anything is served."""

import pathlib
import re

import ask
from bed import free_port, two
from worlds import A, B, seed
from .seed import QUESTION, WHOLE, shape

FILES = pathlib.Path(__file__).resolve().parents[2] / "corefile"


def adapted(bed, name, a, b):
    """A published example with the addresses and ports of this bed."""
    front, inner = free_port(), free_port()
    text = (FILES / name).read_text()
    text = text.replace("10.8.0.1:53", "10.8.0.1").replace("10.9.0.1:53", "10.9.0.1")
    text = text.replace("10.8.0.1", a.at).replace("10.9.0.1", b.at).replace("5300", str(inner))
    # The keys of the first block, which begin a line and have no port.
    text = re.sub(r"^(distributed\.local\.)( cluster-a\.local\.)?( cluster-b\.local\.)? {$",
                  lambda keys: " ".join(f"{key.strip()}:{front}" for key in keys.groups() if key)
                  + " {", text, flags=re.M)
    path = bed.dir / f"{front}-{name}"
    path.write_text(text)
    return path, front, inner


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    # Where clusters are forwarded at the same port recursion is offered there (M9).
    forwards = ("--forward", f"{A} {a.at}", "--forward", f"{B} {b.at}")
    for name, clusters_at, more in (("seed.Corefile", 1, ()), ("one-block.Corefile", 0, forwards)):
        path, *ports = adapted(bed, name, a, b)
        daemon = bed.configured(path, ports[0])
        for tcp in (False, True):
            check.same(f"{name}: the published answer (tcp={tcp})",
                       shape(ask.ask(daemon, QUESTION, "SRV", tcp=tcp)), WHOLE)
        by_flags = bed.gathersrv(*two(a, b), *more)
        query = ask.query(QUESTION, "SRV", id=7).to_wire()
        check.same(f"{name}: octet for octet the answer of flags",
                   ask.datagram(daemon, query), ask.datagram(by_flags, query))
        daemon.port = ports[clusters_at]
        got = ask.ask(daemon, "demo-service-0.default.svc." + B, "A")
        check.same(f"{name}: the clusters themselves are served too", got.answer,
                   [f"demo-service-0.default.svc.{B} 30 A 10.9.1.2"])
        check.same(f"{name}: SIGTERM ends it", daemon.end(), 0)

        code, out, _ = bed.run(bed.binary, "check", "--config", path)
        check.same(f"{name}: check says it can be served", code, 0)
        check.that(f"{name}: check says where", f"cluster {A} prefix a- at {a.at}" in out, out)
        code, out, err = bed.run(bed.binary, "explain", "--config", path, QUESTION, "SRV")
        check.that(f"{name}: explain follows it", code == 0 and a.at in out and b.at in out,
                   out + err)

    path, *_ = adapted(bed, "typo.Corefile", a, b)
    for words in (("check",), ()):
        code, out, err = bed.run(bed.binary, *words, "--config", path)
        check.same("the typing error: exit code 2, nothing on standard output", (code, out), (2, ""))
        check.that("the typing error: the line is shown, and what was meant",
                   f"{path}:3:13: distribiuted.local. can never be asked here" in err
                   and "  gathersrv distribiuted.local. {" in err
                   and "did you mean 'distributed.local.'?" in err, err)
    code, _, err = bed.run(bed.binary, "--config", bed.dir / "nowhere")
    check.that("a file that is not there", code == 2 and "nowhere: the file cannot be read" in err,
               err)
    code, _, err = bed.run(bed.binary, "--config", path, "--zone", "z.")
    check.that("a file and flags for the same", code == 2 and "cannot be used with" in err, err)
