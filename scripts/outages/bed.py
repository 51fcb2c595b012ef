"""A fresh daemon before clusters that fall silent on command, and the law that
the outage stories are about: what was asked before is answered as before."""

import contextlib
import sys
import tempfile
import time
from pathlib import Path

from parts import TARGET, Child, free_port

from . import client, wire
from .cluster import TTL_SECONDS, Cluster

BINARY = TARGET / "release/gathersrv"
ZONE = "default.svc.distributed.local"
STALE, STALE_NXDOMAIN, OTHER = 3, 19, 0


def names(kind, count):
    """Names in the zone; `kind` decides what the clusters have for them."""
    return [f"{kind}-{n}.{ZONE}" for n in range(count)]


def questions(kind, count, rtype=wire.A):
    return [client.Question(name, rtype) for name in names(kind, count)]


class Bed:
    """The daemon, its port, and its clusters by letter."""

    def __init__(self, stack, flags=(), corefile=None, letters="ab"):
        self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outages-")))
        self.clusters = {letter: Cluster(stack, letter) for letter in letters}
        self.port = free_port()
        command = [BINARY, "--log", "error", *flags]
        if corefile:
            self.corefile = self.directory / "Corefile"
            self.corefile.write_text(corefile(self))
            command += ["--config", self.corefile]
        else:
            command += ["--listen", f"127.0.0.1:{self.port}", "--zone", "distributed.local."]
            for letter, cluster in self.clusters.items():
                command += ["--cluster", f"{cluster.suffix}. {letter}- 127.0.0.1:{cluster.port}"]
        self.daemon = Child(stack, "gathersrv", command, self.directory)
        for _ in range(100):
            # A line of its own: an address may be "already in use".
            if "ready" in self.daemon.log.read_text().splitlines():
                return
            time.sleep(0.05)
        sys.exit("the daemon does not start:\n" + self.daemon.log.read_text())

    def learn(self, asked, records, rcode=wire.NOERROR, ask=client.ask_udp):
        """Asks while all clusters answer, and gives each response's content. Every
        one must be whole: a story that begins otherwise measures nothing."""
        contents = {}
        for _ in range(3):
            missing = [question for question in asked if question not in contents]
            for question, response in zip(missing, ask(self.port, missing)):
                if response and response.rcode == rcode and len(response.answer) == records \
                        and not response.ede:
                    contents[question] = response.content()
        if missing := [question for question in asked if question not in contents]:
            sys.exit(f"healthy clusters, and {len(missing)} of {len(asked)} answers are not whole; "
                     f"the last response to {missing[-1]}: {response}")
        return contents

    def silence(self, *letters):
        """Clusters stop answering. Returns when the answer cache has nothing fresh of
        them: from then on only last good answers are left."""
        for letter in letters:
            self.clusters[letter].is_silent = True
        time.sleep(TTL_SECONDS + 0.2)

    def count_as_before(self, learned, ede=STALE, ask=client.ask_udp, **changes):
        """How many questions are answered as before, and say that this is stale."""
        asked = [client.Question(**{**vars(question), **changes}) for question in learned]
        responses = ask(self.port, asked)
        return sum(bool(response) and response.content() == content and ede in response.ede
                   for response, content in zip(responses, learned.values()))


@contextlib.contextmanager
def bed(*flags, **options):
    with contextlib.ExitStack() as stack:
        yield Bed(stack, flags, **options)


def all_of(row, what, count, total):
    """A row of the table whose count has to be the total."""
    row(what, f"{count} of {total}", count == total, "all")
