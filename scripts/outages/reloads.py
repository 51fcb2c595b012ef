"""A reload keeps the last good answers of every cluster that it does not touch.

For each change: ask, silence cluster b, change the Corefile, send SIGHUP, and ask
again. Every change meets a fresh daemon, so that none is measured by another's loss.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from parts import free_port

from . import wire
from .bed import BINARY, all_of, bed, questions

COREFILE = """\
distributed.local.:{port} {{
    bind 127.0.0.1{bind}
    gathersrv distributed.local. {{
        cluster-a.local. a- 127.0.0.1:{a}{server}
        cluster-b.local. b- 127.0.0.1:{b}
{cluster}        deadline {deadline}
        keep-on-empty {empty}
    }}
    forward . 127.0.0.1:{a} {{
        max_concurrent {concurrent}
        max_fails {fails}
    }}
    bufsize {bufsize}
    cache 3600 {{
        success {entries}
        serve_stale 24h
    }}
    prometheus 127.0.0.1:{admin}
}}
"""
USUAL = {"bind": "", "server": "", "cluster": "", "deadline": "800ms", "empty": "0s",
         "concurrent": 1000, "fails": 2, "bufsize": 1232, "entries": 5000}
CHANGES = {
    "max_concurrent": {"concurrent": 2000},
    "max_fails": {"fails": 3},
    "bufsize": {"bufsize": 1400},
    "deadline": {"deadline": "700ms"},
    "cache size": {"entries": 6000},
    "keep-on-empty": {"empty": "30s"},
    "another cluster": {"cluster": "        cluster-c.local. c- 127.0.0.1:{c}\n"},
    "another server of the other cluster": {"server": " 127.0.0.1:{c}"},
    "another bind": {"bind": " 127.0.0.2"},
}
NAMES = 20


def reload(table):
    row = lambda *cells: table.add("reload, one cluster of two silent", *cells)
    for what, change in CHANGES.items():
        admin = free_port()
        with bed(corefile=lambda it: text(it, admin), letters="abc") as it:
            learned = it.learn(questions("v4", NAMES), 2)
            it.silence("b")
            if (before := it.count_as_before(learned)) != NAMES:
                sys.exit(f"before a reload, {before} of {NAMES} answers are as before and stale")
            reload_with(it, admin, text(it, admin, change))
            if what == "another cluster":
                # Its records are new; those of the silent one must be there too.
                add_members(learned, it.clusters["c"])
            all_of(row, f"{what}: as before, stale", it.count_as_before(learned), NAMES)


def text(it, admin, change=()):
    ports = {letter: cluster.port for letter, cluster in it.clusters.items()}
    words = {**USUAL, **dict(change)}
    words = {key: word.format(**ports) if isinstance(word, str) else word
             for key, word in words.items()}
    return COREFILE.format(port=it.port, admin=admin, **ports, **words)


def add_members(learned, cluster):
    for question, (rcode, records) in learned.items():
        own = wire.Record(question.name, wire.A, wire.dotted(cluster.address(question.name)))
        learned[question] = rcode, records | {own}


def reload_with(it, admin, corefile):
    """Returns when the daemon says that it serves the new Corefile."""
    it.corefile.write_text(corefile)
    os.kill(it.daemon.pid, signal.SIGHUP)
    wanted = subprocess.run([BINARY, "check", "--config", it.corefile], check=True,
                            capture_output=True, text=True).stdout
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/config", timeout=5) as page:
                if page.read().decode().strip() == wanted.strip():
                    # The workers take it over one by one.
                    time.sleep(0.2)
                    return
        except urllib.error.URLError:
            pass
        time.sleep(0.05)
    sys.exit("the daemon does not take the new Corefile:\n" + it.daemon.log.read_text())


STORIES = {"reload": reload}
