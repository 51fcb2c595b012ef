"""The Debian package: a bare Debian is given it, and answers in three commands;
it is upgraded, removed, and leaves nothing. systemd does not run here: what its
unit says is done by hand, and what the package tells it is looked at."""

import os
import pathlib
import re
import shutil
import sys

from .glibc import enter

ROOT = pathlib.Path(__file__).resolve().parents[3]
HERE = ROOT / "tests/real"
SUITE = "bookworm"


def base(bed, target):
    """A Debian with nothing but its base, made once."""
    made = target / f"debian-{SUITE}"
    if made.exists():
        return made, ""
    _, out, _ = bed.run("apt-get", "indextargets", "--format",
                        "$(ORIGIN)|$(COMPONENT)|$(CODENAME)|$(REPO_URI)")
    mirrors = re.findall(rf"^Debian\|main\|{SUITE}\|(\S+)$", out, re.M)
    if not mirrors:
        return None, f"apt knows no mirror of Debian {SUITE}"
    making = target / f"debian-{SUITE}.{os.getpid()}"
    code, out, told = bed.run("debootstrap", "--variant=minbase", "--include=init-system-helpers",
                              SUITE, making, mirrors[0], timeout=300)
    if code:
        shutil.rmtree(making, ignore_errors=True)
        return None, "debootstrap: " + (out + told).strip().splitlines()[-1]
    making.rename(made)
    return made, ""


def newer(bed, package, folder):
    """The same package with a higher version and another Corefile."""
    bed.run("dpkg-deb", "-R", package, folder)
    control = folder / "DEBIAN/control"
    control.write_text(re.sub(r"^(Version: .*)$", r"\1.1", control.read_text(), flags=re.M))
    corefile = folder / "etc/gathersrv/Corefile"
    corefile.write_text(corefile.read_text() + "# Another.\n")
    code, _, told = bed.run("dpkg-deb", "-Znone", "-b", folder, bed.dir / "newer.deb")
    assert code == 0, told
    return bed.dir / "newer.deb"


def run(bed, check):
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = pathlib.Path(bed.binary).parent.name
    profile = ["--profile", "dev"] if built == "debug" else []
    code, out, told = bed.run(ROOT / "scripts/package", *profile, timeout=500, cwd=ROOT)
    check.that("scripts/package builds the package", code == 0 and out.strip().endswith(".deb"),
               out + told)
    package = pathlib.Path(out.strip().splitlines()[-1])
    code, out, told = bed.run("lintian", "--allow-root", "--fail-on", "error", package, timeout=60)
    check.that("lintian finds no mistake in it", code == 0, out + told)
    made, why = base(bed, target)
    words, why_not = enter(bed)
    if made is None or words is None or os.geteuid() != 0:
        check.skip("the package on a bare Debian", why or why_not or "this is not root")
        return
    # Its files are in our directory, which goes with us even if it is killed.
    bare = bed.dir / "bare"
    code, _, told = bed.run("cp", "-a", "--reflink=auto", made, bare, timeout=120)
    assert code == 0, told
    shutil.copy(package, bare / "gathersrv.deb")
    shutil.copy(newer(bed, package, bed.dir / "newer"), bare / "newer.deb")
    inside = {**os.environ, "TMPDIR": str(bed.dir)}
    code, out, told = bed.run(*words, sys.executable, HERE / "packaged.py", bed.binary, bare,
                              "gathersrv.deb", "newer.deb", timeout=180, env=inside)
    counts = re.search(r"^(\d+) passed, (\d+) failed\n\Z", out, re.M)
    print(out[:counts.start()] if counts else out, end="")
    if counts is None:
        check.fail("the package goes on to its end", f"exit code {code}\n{told}")
        return
    check.passed += int(counts[1])
    check.failed += int(counts[2])
