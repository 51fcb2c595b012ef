"""Real name servers, real clients, the built daemon: every rule as they see it.

  target/test-venv/bin/python tests/real/run.py --binary target/release/gathersrv

Each scenario has a bed of its own, so one that fails leaves the others alone.
"""

import argparse
import importlib
import os
import signal
import sys
import time
import traceback

from bed import Bed
from checks import Checks

SCENARIOS = ["seed", "records", "transport", "hostile", "missing", "faulty", "corefile", "reload",
             "secure", "forger", "files", "siege", "unit", "notify", "rolling", "package", "install",
             "process", "tools", "drivers", "languages", "glibc", "admin", "logs", "page", "delegation",
             "alerts", "manifests", "image", "documents", "top", "shells",
             "outage", "outage_floods", "outage_reloads", "outage_resolvers", "outage_clients"]

# Seconds for everything; many times what it takes.
LIMIT = 1000


def end(number, _frame):
    """A signal becomes an exception, so that every bed is cleaned up."""
    raise SystemExit(f"ended by signal {number}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, help="the daemon")
    parser.add_argument("--only", nargs="+", default=SCENARIOS, metavar="SCENARIO",
                        help="of " + ", ".join(SCENARIOS))
    flags = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, end)
    signal.alarm(LIMIT)
    binary = os.path.abspath(flags.binary)
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
    if check.not_run:
        print(f"not run, for want of something on this machine: {', '.join(check.not_run)}")
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
