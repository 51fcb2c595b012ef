"""Queries in the name of neighbours that do not exist, on a link of their own:
see `link.py`, which runs inside a network namespace."""

import os
import re
import sys

from .glibc import HERE, enter


def run(bed, check):
    words, why = enter(bed)
    if words is None:
        check.skip("a link with neighbours, in a network namespace", why)
        return
    inside = {**os.environ, "TMPDIR": str(bed.dir)}
    code, out, told = bed.run(*words, sys.executable, HERE / "link.py", bed.binary, timeout=90,
                              env=inside)
    counts = re.search(r"^(\d+) passed, (\d+) failed\n\Z", out, re.M)
    print(out[:counts.start()] if counts else out, end="")
    if counts is None:
        check.fail("it goes on to its end", f"exit code {code}\n{told}")
        return
    check.passed += int(counts[1])
    check.failed += int(counts[2])
