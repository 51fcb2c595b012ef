"""glibc's resolver, which knows port 53 and /etc/resolv.conf only.

So it runs in network and mount namespaces of its own, where the daemon has port
53 of the default addresses and /etc/resolv.conf is ours. They are the child's:
when it ends, they are gone, and the machine never saw them.
"""

import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent.parent


def enter(bed):
    """The command that runs another in namespaces of its own, if one works."""
    for words in (["unshare", "--net", "--mount"],
                  ["unshare", "--map-root-user", "--net", "--mount"]):
        try:
            code, _, told = bed.run(*words, "ip", "link", "set", "lo", "up")
        except OSError as error:
            code, told = 1, str(error)
        if code == 0:
            return words, ""
    return None, told.strip()


def run_inside(bed, check, script, what, timeout):
    """Runs a script in namespaces of its own, and adds what it passed and failed."""
    words, why = enter(bed)
    if words is None:
        check.skip(f"{what} in a network namespace", why)
        return
    # Its files are in our directory, which goes with us even if it is killed.
    inside = {**os.environ, "TMPDIR": str(bed.dir)}
    code, out, told = bed.run(*words, sys.executable, HERE / script, bed.binary, timeout=timeout,
                              env=inside)
    counts = re.search(r"^(\d+) passed, (\d+) failed\n\Z", out, re.M)
    print(out[:counts.start()] if counts else out, end="")
    if counts is None:
        check.fail(f"{what} goes on to its end", f"exit code {code}\n{told}")
        return
    check.passed += int(counts[1])
    check.failed += int(counts[2])


def run(bed, check):
    run_inside(bed, check, "inside.py", "glibc", 120)
