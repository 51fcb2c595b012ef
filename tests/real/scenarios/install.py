"""scripts/install puts everything where it belongs, keeps a configuration that is
there, and takes away what it brought."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
PLACES = ["usr/local/bin/gathersrv", "usr/local/share/man/man1/gathersrv.1",
          "usr/local/share/bash-completion/completions/gathersrv",
          "usr/local/share/zsh/site-functions/_gathersrv",
          "usr/local/share/fish/vendor_completions.d/gathersrv.fish",
          "etc/systemd/system/gathersrv.service", "etc/systemd/system/gathersrv@.service"]
KEPT = ["etc/gathersrv/Corefile", "etc/default/gathersrv"]


def run(bed, check):
    place = bed.dir / "place"

    def install(*words, **more):
        env = {**os.environ, "DESTDIR": str(place), **more}
        return bed.run(ROOT / "scripts/install", *words, env=env, timeout=60)

    def files():
        return {str(file.relative_to(place)) for file in place.rglob("*") if not file.is_dir()}

    code, out, told = install("--binary", bed.binary)
    check.that("scripts/install installs", code == 0, out + told)
    check.same("everything is in its place", set(PLACES + KEPT) - files(), set())
    unit = (place / PLACES[-2]).read_text()
    check.that("the unit starts what was installed",
               "\nExecStart=/usr/local/bin/gathersrv --take-over " in unit, unit)
    check.same("what was installed takes the configuration that came with it",
               bed.run(place / PLACES[0], "check", "--config", place / KEPT[0])[0], 0)
    for name in KEPT:
        (place / name).write_text("# Mine.\n")
    code, out, told = install("--binary", bed.binary)
    check.same("a second time keeps the configuration",
               (code, [(place / name).read_text() for name in KEPT]), (0, ["# Mine.\n"] * 2))
    code, out, told = install("--uninstall")
    check.same("--uninstall takes everything else away", (code, files()), (0, set(KEPT)))
    elsewhere = bed.dir / "elsewhere"
    code, out, told = install("--binary", bed.binary, DESTDIR=str(elsewhere), PREFIX="/opt/g")
    check.that("PREFIX is another place", (elsewhere / "opt/g/bin/gathersrv").exists() and
               "\nExecStart=/opt/g/bin/gathersrv " in (elsewhere / PLACES[-2]).read_text(), out + told)
    code, out, told = bed.run(ROOT / "scripts/install", "--binary", os.path.relpath(bed.binary, bed.dir),
                              env={**os.environ, "DESTDIR": "./from-here"}, timeout=60, cwd=bed.dir)
    check.that("names are those of the caller's directory", code == 0 and
               (bed.dir / "from-here" / PLACES[0]).exists(), out + told)
    for words, why in ((["--binary"], "--binary"), (["--binary", "/dev/null"], "/dev/null"),
                       (["--frobnicate"], "--frobnicate"), (["--uninstall", "x"], "'x'")):
        code, out, told = install(*words)
        check.that(f"wrong words {words}: exit code 2, and stderr says why",
                   code == 2 and why in told, out + told)
