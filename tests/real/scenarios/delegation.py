"""Other resolvers send the zone here, told so by the files in
docs/delegation.md as they stand there.

Those name port 53 of 10.96.0.53, and resolvers that validate would look for the
root of the Internet. So all of it runs in namespaces of its own: see
`resolvers.py`.
"""

import os
import re
import sys

from .glibc import HERE, enter


def run(bed, check):
    words, why = enter(bed)
    if words is None:
        check.skip("other resolvers, in a network namespace", why)
        return
    # Its files are in our directory, which goes with us even if it is killed.
    inside = {**os.environ, "TMPDIR": str(bed.dir)}
    code, out, told = bed.run(*words, sys.executable, HERE / "resolvers.py", bed.binary,
                              timeout=150, env=inside)
    counts = re.search(r"^(\d+) passed, (\d+) failed, not run: (.*)\n\Z", out, re.M)
    print(out[:counts.start()] if counts else out, end="")
    if counts is None:
        check.fail("the resolvers go on to their end", f"exit code {code}\n{told}")
        return
    check.passed += int(counts[1])
    check.failed += int(counts[2])
    check.not_run += [name for name in counts[3].split("; ") if name]
