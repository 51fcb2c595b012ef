"""Real name servers, real clients, the built daemon: every rule as they see it.

  target/test-venv/bin/python tests/real/run.py --binary target/release/gathersrv

Each scenario has a bed of its own, so one that fails leaves the others alone;
`--beside` runs two at a time.
"""

import argparse
import ctypes
import importlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback

from bed import Bed
from checks import Checks

SCENARIOS = ["seed", "records", "transport", "hostile", "missing", "faulty", "corefile", "reload",
             "secure", "forger", "liars", "neighbours", "files", "siege", "unit", "notify", "rolling",
             "package", "install", "process", "tools", "drivers", "languages", "glibc", "admin", "logs", "page", "delegation",
             "alerts", "manifests", "image", "documents", "top", "shells",
             "outage", "outage_floods", "outage_reloads", "outage_resolvers", "outage_clients"]

# Seconds for everything; many times what it takes.
LIMIT = 1000


def end(number, _frame):
    """A signal becomes an exception, so that every bed is cleaned up."""
    raise SystemExit(f"ended by signal {number}")


# Those that load the machine or measure rates: no two of them at once.
HEAVY = ["siege", "rolling", "reload", "forger", "liars", "neighbours", "faulty", "outage_floods",
         "hostile", "outage"]

_libc = ctypes.CDLL(None)


def die_with_parent():
    _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def run_apart(binary, name):
    """A scenario in a process of its own: what it printed, and its counts."""
    words = [sys.executable, __file__, "--binary", binary, "--only", name]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=die_with_parent)
    lines = (done.stdout + done.stderr).splitlines()
    counts = [line for line in lines if re.fullmatch(r"\d+ passed, \d+ failed", line)]
    passed, failed = map(int, re.findall(r"\d+", counts[-1])) if counts else (0, 1)
    not_run = [line.split(": ", 1)[1] for line in lines if line.startswith("not run, ")]
    told = [line for line in lines if line not in counts and not line.startswith("not run, ")]
    return told, passed, failed, not_run


def run_beside(binary, names):
    """All scenarios, two at a time, but only one of those that are heavy."""
    waiting = sorted(names, key=lambda name: name not in HEAVY)
    lock = threading.Lock()
    total = Checks()

    def lane(heavy):
        while True:
            with lock:
                fit = [name for name in waiting if heavy or name not in HEAVY]
                if not fit:
                    return
                name = fit[0] if heavy else fit[-1]
                waiting.remove(name)
            told, passed, failed, not_run = run_apart(binary, name)
            with lock:
                print("\n".join(told), flush=True)
                total.passed += passed
                total.failed += failed
                total.not_run += not_run

    lanes = [threading.Thread(target=lane, args=(heavy,), daemon=True) for heavy in (True, False)]
    for one in lanes:
        one.start()
    for one in lanes:
        one.join()
    return total


def report(check):
    if check.not_run:
        print(f"not run, for want of something on this machine: {', '.join(check.not_run)}")
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, help="the daemon")
    parser.add_argument("--only", nargs="+", default=SCENARIOS, metavar="SCENARIO",
                        help="of " + ", ".join(SCENARIOS))
    parser.add_argument("--beside", action="store_true", help="two scenarios at a time")
    flags = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, end)
    signal.alarm(LIMIT)
    binary = os.path.abspath(flags.binary)
    if flags.beside:
        return report(run_beside(binary, flags.only))
    check = Checks()
    for name in flags.only:
        print(f"{name}:", flush=True)
        began = time.monotonic()
        try:
            with Bed(binary) as bed:
                importlib.import_module("scenarios." + name).run(bed, check)
        except Exception:  # a scenario that cannot go on is a failure, not an end
            check.fail(f"{name} goes on to its end", traceback.format_exc())
        print(f"  ({time.monotonic() - began:.1f} s)", flush=True)
    return report(check)


if __name__ == "__main__":
    sys.exit(main())
