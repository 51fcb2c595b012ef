"""README.md and docs/*.md: every command in them runs as it stands, and prints what
they say. How a document is read is told in tests/real/documents.py."""

import os
import pathlib
import re
import shutil
import sys
import urllib.request

import documents
from bed import LOOPBACK, free_port, two
from worlds import A, B, seed

HERE = pathlib.Path(__file__).parent.parent

# All namespaces a document needs; what runs in them ends with them.
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
# What documents call, beside the daemon and what every Debian has.
TOOLS = ("dig", "knotd", "knotc", "curl", "haproxy", "socat", "prometheus", "etcd", "etcdctl")
SECONDS = 300


def metrics(bed, check):
    """What is served at /metrics is what the reference has, name by name."""
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    admin = f"{LOOPBACK}:{free_port()}"
    bed.gathersrv(*two(a, b), "--admin", admin)
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    served = sorted(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    written = documents.metrics(documents.ROOT / "docs/reference.md")
    check.same(f"reference.md has the {len(served)} metrics that are served, with their types",
               written, served)


def run(bed, check):
    blocks = {}
    for path in documents.documents():
        try:
            blocks[path] = documents.read(path)
        except documents.Unclear as why:
            check.fail(f"{documents.called(path)} can be followed", str(why))
        check.same(f"{documents.called(path)}: every link leads somewhere", documents.broken_links(path), [])
    skipped = [block for found in blocks.values() for block in found
               if isinstance(block, documents.Block) and "norun" in block.words]
    try:
        unused = documents.unused_reasons(skipped)
        check.same(f"{len(skipped)} blocks are not run, each for a reason, and no reason is left over",
                   unused, [])
    except documents.Unclear as why:
        check.fail("what is not run has a reason", str(why))

    page = documents.ROOT / "docs/reference.md"
    texts, directives = documents.ede_texts(), documents.directives()
    check.that("(the code has EDE texts and directives)", len(texts) > 6 and len(directives) > 8,
               (texts, directives))
    check.same("reference.md has every EDE text of the code", documents.unwritten(page, texts), [])
    check.same("reference.md has every directive", documents.unwritten(
        page, [f"| `{name}" for name in directives]), [])

    metrics(bed, check)

    own = {"--help", "--version"}
    flags = set(re.findall(r"--[a-z][a-z-]+", bed.run(bed.binary, "--help")[1])) - own
    written = set(re.findall(r"`(--[a-z-]+)[ `]", (documents.ROOT / "README.md").read_text()))
    check.same(f"README.md has the {len(flags)} flags of --help", sorted(flags - written), [])

    code, _, told = bed.run(*UNSHARE, "ip", "link", "set", "lo", "up")
    if code:
        check.skip("the commands of the documents", "no namespaces: " + told.strip())
        return
    missing = [tool for tool in TOOLS if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin")]
    if missing:
        check.fail("what the documents call is installed", ", ".join(missing))
        return
    for path, found in blocks.items():
        if not any(isinstance(block, documents.Block) and block.language == "sh"
                   and "norun" not in block.words for block in found):
            continue
        follow(bed, check, path)


def follow(bed, check, path):
    """One document, in namespaces of its own."""
    # Its files are in our directory, which goes with us even if it is killed.
    inside = {**os.environ, "TMPDIR": str(bed.dir)}
    code, out, told = bed.run(*UNSHARE, sys.executable, HERE / "reader.py", bed.binary, path,
                              timeout=SECONDS, env=inside)
    counts = re.search(r"^(\d+) passed, (\d+) failed\n\Z", out, re.M)
    print(out[:counts.start()] if counts else out, end="", flush=True)
    if counts is None:
        check.fail(f"{documents.called(path)} goes on to its end", f"exit code {code}\n{told}")
        return
    check.passed += int(counts[1])
    check.failed += int(counts[2])
