"""What the measuring scripts share: building, installing, child processes."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def build(example):
    """The daemon and one of the examples, as released."""
    subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "gathersrv",
                    "--example", example], cwd=ROOT, check=True)


def install(packages):
    """Debian packages by the tool that is wanted of each."""
    missing = [package for tool, package in packages.items() if not which(tool)]
    if missing:
        print("installing", *missing, file=sys.stderr)
        quiet = {"stdout": subprocess.DEVNULL, "check": True}
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-q"], **quiet)
        subprocess.run(["apt-get", "install", "-qy", *missing], env=environment, **quiet)


def which(tool):
    return shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def memory(pid):
    """The most a process has had resident, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def free_port():
    """A loopback port that is free over both UDP and TCP."""
    for _ in range(20):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
                socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            udp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                tcp.bind(udp.getsockname())
                return udp.getsockname()[1]
    sys.exit("no loopback port is free over both UDP and TCP")


class Child:
    """A program under test, or one it needs."""

    def __init__(self, stack, name, command, directory):
        self.log = directory / f"{name}.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory,
                                            start_new_session=True)
        stack.callback(self.stop)
        self.pid = self.process.pid

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
