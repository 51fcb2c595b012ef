"""Counting checks: every one has a name that cites the rule it shows."""

import time


def until(true, seconds=10):
    """Whether something comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return bool(true())


class Checks:
    """What passed, what failed, and what could not be run and why."""

    def __init__(self):
        self.passed = self.failed = 0
        self.not_run = []

    def same(self, name, got, expected):
        """`got` is exactly `expected`."""
        if got == expected:
            self.passed += 1
            print(f"  ok    {name}", flush=True)
            return
        self.fail(name, f"got      {got!r}\nexpected {expected!r}")

    def that(self, name, true, told=""):
        """For what is no comparison; `told` explains a failure."""
        if true:
            self.same(name, True, True)
        else:
            self.fail(name, str(told))

    def fail(self, name, told):
        self.failed += 1
        print(f"  FAIL  {name}", flush=True)
        for line in told.splitlines():
            print(f"        {line}", flush=True)

    def skip(self, name, why):
        """Not run for want of something on this machine; never counted as passed."""
        self.not_run.append(name)
        print(f"  not run: {name}: {why}", flush=True)
