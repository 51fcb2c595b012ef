"""Debian's Prometheus scrapes the daemon with the files in deploy/prometheus,
and tells of a cluster that dies, of a wrong configuration, and of the daemon
itself, each time until it is over."""

import json
import pathlib
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import ask
from bed import free_port
from worlds import A, B, seed
from .seed import QUESTION, WHOLE, shape

FILES = pathlib.Path(__file__).resolve().parents[3] / "deploy/prometheus"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# Seconds to wait for an alert; it takes five or so.
PATIENCE = 40


def get(url):
    try:
        with OPENER.open(url, timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def hurried(text):
    """The rules as shipped but for their patience: minutes become seconds."""
    text = re.sub(r"^(\s+for: )\w+$", r"\g<1>2s", text, flags=re.M)
    return re.sub(r"\[\d+m\]", "[10s]", text)


class Prometheus:
    """A Prometheus with the shipped files, and what it says."""

    def __init__(self, bed, target):
        home = bed.dir / "prometheus"
        home.mkdir()
        self.at = f"http://127.0.0.1:{free_port()}"
        config = (FILES / "prometheus.yml").read_text()
        config = config.replace("interval: 15s", "interval: 1s")
        config = config.replace("192.0.2.10:9153", target)
        config = re.sub(r".*192\.0\.2\.11:9153\n", "", config)
        (home / "prometheus.yml").write_text(config)
        rules = (FILES / "gathersrv.rules.yml").read_text()
        (home / "gathersrv.rules.yml").write_text(hurried(rules))
        self.process = bed.server(
            ["prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data",
             f"--web.listen-address={self.at.removeprefix('http://')}", "--log.level=warn"], 0)

    def ready(self):
        return get(self.at + "/-/ready")[0] == 200

    def api(self, path, **words):
        code, text = get(f"{self.at}/api/v1/{path}?{urllib.parse.urlencode(words)}")
        return json.loads(text)["data"] if code == 200 else {}

    def value(self, query):
        """The first value of a query, or nothing."""
        found = self.api("query", query=query).get("result", [])
        return float(found[0]["value"][1]) if found else None

    def firing(self):
        """The labels of the alerts that fire, by their names."""
        found = {}
        for alert in self.api("alerts").get("alerts", []):
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found


def until(condition, between=lambda: None):
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        between()
        time.sleep(0.2)
    return condition()


def named(rules):
    """The metrics that the rules look at, as they are declared."""
    names = set(re.findall(r"(?<![:\w])(?:gathersrv|process)_\w+", re.sub(r"#.*", "", rules)))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def examine_metrics(bed, check, metrics):
    lint = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True,
                          text=True, timeout=30)
    check.same("promtool has nothing to say against the metrics",
               (lint.returncode, lint.stdout + lint.stderr), (0, ""))
    declared = set(re.findall(r"^# TYPE (\w+) ", metrics, re.M))
    rules = re.findall(r"expr:.*?(?=\n\s+(?:- |for:|labels:)|\Z)",
                       (FILES / "gathersrv.rules.yml").read_text(), re.S)
    names = named("\n".join(rules))
    check.same("every metric that a rule looks at is there", sorted(names - declared), [])
    check.that("the rules look at metrics", len(names) > 12, names)


def runbooks(check):
    """Each alert leads to a heading of a page that is there."""
    found = re.findall(r"runbook: (\S+)#(\S+)", (FILES / "gathersrv.rules.yml").read_text())
    alerts = (FILES / "gathersrv.rules.yml").read_text().count("- alert: ")
    check.same("every alert names a page", len(found), alerts)
    for page in sorted({page for page, _ in found}):
        file = FILES.parents[1] / page
        headings = re.findall(r"^#+ (.*)$", file.read_text(), re.M) if file.exists() else []
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        missing = {anchor for place, anchor in found if place == page} - anchors
        check.same(f"{page} has what the alerts point to", missing, set())


def run(bed, check):
    runbooks(check)
    for words in (["check", "config", FILES / "prometheus.yml"],
                  ["test", "rules", FILES / "gathersrv.rules.test.yml"]):
        code, out, told = bed.run("promtool", *words)
        check.same("promtool " + " ".join(words[:2]), (code, "FAILED" in out + told), (0, False))
    broken = bed.dir / "gathersrv.rules.yml"
    broken.write_text((FILES / "gathersrv.rules.yml").read_text().replace("cluster_up) == 0", "cluster_up) == 2"))
    shutil.copy(FILES / "gathersrv.rules.test.yml", bed.dir)
    code, _, _ = bed.run("promtool", "test", "rules", bed.dir / "gathersrv.rules.test.yml")
    check.same("a rule that never fires does not pass its test", code, 1)

    a, zone_b = bed.knot({A: seed(A, "10.8")}), seed(B, "10.9")
    b = bed.knot({B: zone_b})
    port, path = free_port(), bed.dir / "Corefile"
    right = (f"distributed.local.:{port} {{\n  bind 127.0.0.1\n  gathersrv distributed.local. {{\n"
             f"    {A} a- {a.at}\n    {B} b- {b.at}\n  }}\n}}\n")
    path.write_text(right)
    daemon = bed.configured(path, port, "--admin", "127.0.0.1:0")
    admin, = [line.split()[2] for line in daemon.printed if line.startswith("admin on ")]
    check.same("/health", get(f"http://{admin}/health")[0], 200)
    check.same("/ready", get(f"http://{admin}/ready")[0], 200)

    def query():
        return ask.ask(daemon, QUESTION, "SRV")

    prometheus = Prometheus(bed, admin)
    check.that("Prometheus is up", until(prometheus.ready), prometheus.process.said())
    check.that("it scrapes the daemon", until(lambda: prometheus.value("up") == 1, query))
    check.that("it counts queries", until(
        lambda: (prometheus.value("zone:gathersrv_queries:rate5m") or 0) > 1, query))
    check.same("while all is well, nothing fires", prometheus.firing(), {})
    examine_metrics(bed, check, get(f"http://{admin}/metrics")[1])

    b.end(signal.SIGKILL)
    wanted = ("GathersrvClusterDown", "GathersrvServerOut", "GathersrvAnswersIncomplete")
    check.that("a dead cluster: " + ", ".join(wanted),
               until(lambda: set(wanted) <= set(prometheus.firing()), query), prometheus.firing())
    alert, = prometheus.firing().get("GathersrvClusterDown", [{}])
    check.same("which cluster is said as it is configured",
               [alert.get(name) for name in ("zone", "cluster", "prefix", "severity")],
               ["distributed.local.", B, "b-", "critical"])
    servers = [alert["server"] for alert in prometheus.firing().get("GathersrvServerOut", [])]
    check.same("and which server", servers, [b.at])
    bed.knot({B: zone_b}, port=b.port)
    check.that("it is back: nothing fires any more", until(lambda: prometheus.firing() == {}, query),
               prometheus.firing())
    check.same("and answers are whole", shape(query()), WHOLE)

    path.write_text(right + "wrong {\n")
    check.that("a wrong configuration: GathersrvReloadFailed", until(
        lambda: list(prometheus.firing()) == ["GathersrvReloadFailed"]), prometheus.firing())
    path.write_text(right + "# right\n")
    check.that("put right: nothing fires any more", until(lambda: prometheus.firing() == {}),
               prometheus.firing())

    check.same("the daemon ends", daemon.end(), 0)
    check.that("the daemon is gone: GathersrvDown", until(
        lambda: list(prometheus.firing()) == ["GathersrvDown"]), prometheus.firing())
    check.that("it scraped without a warning", "level=error" not in prometheus.process.said(),
               prometheus.process.said())
