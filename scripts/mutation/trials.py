"""Runs the tests against each mutant.

A first run without changes learns which changes each test reaches, and its
duration. A mutant is tried with the tests that reach it, quick ones first. It
is caught when a test hangs or fails twice: one failure may be a flaky test.

The simulator and the oracle run a quarter of their worlds and scenarios, so the
reported share is a lower bound.
"""

import concurrent.futures
import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from .tree import CHOSEN, REACHED

# A mutant may loop for ever or exhaust the memory; no test comes near these.
SLOWER, SPARE_SECONDS = 8, 30
MEMORY = 8 << 30
# Tests below this duration run in one process, at most `TOGETHER` of them.
QUICK_SECONDS = 0.3
TOGETHER = 40


@dataclass
class Test:
    """A test; `seconds` is its duration alone, without changes."""

    binary: str
    program: str
    name: str
    seconds: float = 0.0
    reaches: frozenset = frozenset()


@dataclass
class Trial:
    """The outcome for one mutant: the binary that caught it, or None, and how
    many tests reach it."""

    number: int
    caught_by: str | None = None
    reached: int = 0
    seconds: float = field(default=0.0, compare=False)


# A quarter of the defaults in tests/simulator.rs and tests/oracle.rs.
FEWER = {"GATHERSRV_SEEDS": "100", "PROPTEST_CASES": "250"}
PROPTEST = {"PROPTEST_MAX_SHRINK_ITERS": "0", "PROPTEST_RNG_SEED": "1", "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "1"}


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(tests, cwd, seconds, extra):
    """Runs tests of one binary: True if they pass, None if they hang."""
    environment = {**os.environ, **extra, **FEWER, **PROPTEST, "RUST_BACKTRACE": "0"}
    command = [tests[0].program, "--test-threads=1", "--exact", *(test.name for test in tests)]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=out, start_new_session=True, preexec_fn=limits)
        try:
            code = process.wait(SLOWER * seconds + SPARE_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return None if code is None else code == 0


def listed(built):
    """All tests of the binaries."""
    tests = []
    for binary, program in sorted(built.items()):
        out = subprocess.run([program, "--list", "--format=terse"], capture_output=True, text=True,
                             check=True, timeout=60).stdout
        tests += [Test(binary, program, line.removesuffix(": test"))
                  for line in out.splitlines() if line.endswith(": test")]
    return tests


def learn(test, cwd):
    """Runs a test without changes; true if it passes."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        reached = Path(directory) / "reached"
        start = time.monotonic()
        passed = run([test], cwd, 60, {REACHED: str(reached)})
        test.seconds = time.monotonic() - start
        data = reached.read_bytes() if reached.exists() else b""
    test.reaches = frozenset(data[at] | data[at + 1] << 8 for at in range(0, len(data), 2))
    return passed


def in_turn(work, items, jobs, heading):
    """The results of `work`, with a progress line for every 25 items."""
    done = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(work, item) for item in items]):
            done.append(future.result())
            if len(done) % 25 == 0 or len(done) == len(items):
                print(f"{heading} {len(done)} of {len(items)}", flush=True)
    return done


def baseline(built, cwd, jobs):
    """The tests that pass without changes, with the changes they reach."""
    tests = listed(built)
    passed = in_turn(lambda test: (learn(test, cwd), test), tests, jobs, "tests without changes:")
    for ok, test in passed:
        if not ok:
            print(f"left out, it fails without changes: {test.binary} {test.name}", flush=True)
    return [test for ok, test in passed if ok]


def batches(tests):
    """The tests in the order of their runs; quick ones of a binary run together."""
    quick, slow = {}, []
    for test in sorted(tests, key=lambda test: test.seconds):
        if test.seconds < QUICK_SECONDS:
            quick.setdefault(test.binary, []).append(test)
        else:
            slow.append([test])
    together = [group[at:at + TOGETHER] for group in quick.values() for at in range(0, len(group), TOGETHER)]
    return together + slow


def catches(group, cwd, number):
    """True if these tests hang or fail twice with the change."""
    seconds = sum(test.seconds for test in group)
    for _ in range(2):
        passed = run(group, cwd, seconds, {CHOSEN: str(number)})
        if passed is None:
            return True
        if passed:
            return False
    return True


def trial(number, tests, cwd):
    start = time.monotonic()
    reaching = [test for test in tests if number in test.reaches]
    result = Trial(number, reached=len(reaching))
    for group in batches(reaching):
        if catches(group, cwd, number):
            result.caught_by = group[0].binary
            break
    result.seconds = time.monotonic() - start
    return result
