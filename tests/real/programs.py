"""The part of the scenario of clients that runs inside the namespaces.

/etc/resolv.conf leads to the daemon. Every program is run while both clusters
are there and again while cluster b is down, and has to print the same. nginx
passes requests on to pods at addresses that it looks up; the pods stay well.
"""

import concurrent.futures
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import outages
from bed import Bed, CannotStart, START_TIME
from checks import Checks, until
from outages import AT_OURS, S, SRV

HERE = pathlib.Path(__file__).parent
CLIENTS = HERE / "clients"
# scripts/test builds it: the first time that takes longer than all of this.
GO = pathlib.Path(sys.executable).parent / "lookup-go"

TTL = 1
JAVA_TIME = 120
REQUESTS = 6

# The pods behind the services that nginx passes requests to.
PODS = {"web": ["10.8.5.1", "10.9.5.1"], "only-b": ["10.9.9.1"], "alias": ["10.8.5.1", "10.9.5.1"]}
POD_PORT, FRONT_PORT = 8080, 8000

HOSTS = [name + "." + S.rstrip(".") for name in (
    "web", "alias", "mixed", "mongo", "only-a", "only-b", "a-thing", "b-thing", "b-mongo-1.mongo",
    "no-such")]
FRESH = "fresh." + S.rstrip(".")
# Never asked while cluster b is there, but for the SRV records that lead to it.
TARGET = "b-mongo-0.mongo." + S.rstrip(".")

NGINX = """\
daemon off;
master_process off;
pid {home}/pid;
error_log {home}/error.log info;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    resolver {resolver} valid={ttl}s;
    resolver_timeout 5s;
    server {{
        {pods}
        return 200 "$server_addr\\n";
    }}
    server {{
        listen 127.0.0.1:{front};
        location ~ ^/([a-z-]+)$ {{
            set $upstream $1.{base};
            proxy_pass http://$upstream:{port}/;
        }}
    }}
}}
"""


def prepare(bed):
    """Addresses for the clusters, the daemon and the pods, and our resolv.conf."""
    pods = {address for found in PODS.values() for address in found}
    outages.prepare("10.8.0.1/32", "10.9.0.1/32", "10.96.0.53/32",
                    *(address + "/32" for address in sorted(pods)))
    (bed.dir / "resolv.conf").write_text(f"nameserver {AT_OURS}\noptions timeout:3 attempts:2\n")
    (bed.dir / "nsswitch.conf").write_text("hosts: dns\n")
    for file in ("resolv.conf", "nsswitch.conf"):
        place = pathlib.Path("/etc") / file
        if place.exists():
            subprocess.run(["mount", "--bind", bed.dir / file, place], check=True, timeout=10)
    return sorted(pods)


def nginx(bed, pods):
    home = bed.dir / "nginx"
    home.mkdir()
    (home / "nginx.conf").write_text(NGINX.format(
        home=home, resolver=AT_OURS, ttl=TTL, front=FRONT_PORT, base=S.rstrip("."), port=POD_PORT,
        pods=" ".join(f"listen {pod}:{POD_PORT};" for pod in pods)))
    server = bed.server(["nginx", "-c", home / "nginx.conf", "-e", home / "error.log"], FRONT_PORT)

    def there():
        try:
            socket.create_connection(("127.0.0.1", FRONT_PORT), 1).close()
        except OSError:
            return False
        return True

    if not until(lambda: there() or not server.running(), START_TIME) or not server.running():
        raise CannotStart("nginx: " + server.said())


def requests(check, when):
    """Each service's requests, all of them passed on to one of its pods."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for service, pods in PODS.items():
        found = []
        for _ in range(REQUESTS):
            try:
                with opener.open(f"http://127.0.0.1:{FRONT_PORT}/{service}", timeout=10) as reply:
                    found.append(reply.read().decode().strip())
            except (OSError, urllib.error.HTTPError) as error:
                found.append(str(error))
        good = [pod for pod in found if pod in pods]
        check.that(f"K1 nginx, {when}: {REQUESTS} of {REQUESTS} requests reach a pod of {service}",
                   len(good) == REQUESTS, found)


def pairs(*kinds):
    """Types and names, as the programs in Node, Java and Go take them."""
    words = []
    for kind in kinds:
        names = {"SRV": [SRV.rstrip(".")], "TXT": ["mongo." + S.rstrip(".")]}.get(kind, HOSTS)
        for name in names:
            words += [kind, name]
    return words


def compiled(bed):
    """The programs, by name: what they are, and words without names."""
    commands = {}
    for library, compiler in (("musl", "musl-gcc"), ("glibc", "cc")):
        program = bed.dir / f"lookup-{library}"
        code, _, told = bed.run(compiler, "-O1", "-o", program, CLIENTS / "lookup.c", timeout=60)
        if code:
            raise CannotStart(compiler + ": " + told)
        commands[library] = [program]
    code, _, told = bed.run("javac", "-d", bed.dir, CLIENTS / "Lookup.java", timeout=JAVA_TIME)
    if code:
        raise CannotStart("javac: " + told)
    commands["Java"] = ["java", "-XX:TieredStopAtLevel=1", "-cp", bed.dir, "Lookup", AT_OURS]
    commands["Node"] = ["node", CLIENTS / "members.js", AT_OURS]
    if os.access(GO, os.X_OK):
        commands["Go"] = [GO]
    return commands


ASKED = {"musl": HOSTS, "glibc": HOSTS, "Node": pairs("SRV", "TXT", "A", "AAAA", "HOST"),
         "Java": pairs("SRV", "TXT", "A", "AAAA"), "Go": pairs("SRV", "TXT", "HOST")}


def run_all(bed, commands, asked):
    """What each program prints, and how it ends, all at the same time."""

    def one(program):
        code, out, told = bed.run(*commands[program], *asked[program], timeout=JAVA_TIME)
        return code, sorted(out.splitlines()), told.strip()[-500:]

    with concurrent.futures.ThreadPoolExecutor(len(commands)) as pool:
        return dict(zip(commands, pool.map(one, commands)))


def compare(check, before, during):
    for program, (code, lines, told) in before.items():
        gone = [line for line in lines if line not in during[program][1]]
        new = [line for line in during[program][1] if line not in lines]
        check.that(f"K1 {program}, cluster b down: all {len(lines)} lines as before",
                   during[program][0] == code and not gone and not new,
                   f"exit code {during[program][0]}: {during[program][2]}\nwas {gone}\nis  {new}")


def first_time(bed, check, commands):
    """Names that the programs ask for the first time during the outage."""
    for library in ("musl", "glibc"):
        _, out, _ = bed.run(*commands[library], TARGET, FRESH, timeout=60)
        check.same(f"K3 K6 {library}: an SRV target of cluster b, and a name never asked", out,
                   f"{TARGET} 10.9.1.0\n{FRESH} 10.8.6.1\n")


def main():
    check = Checks()
    with Bed(sys.argv[1]) as bed:
        pods = prepare(bed)
        _, b, daemon = outages.clusters(bed, TTL)
        nginx(bed, pods)
        commands = compiled(bed)
        if "Go" not in commands:
            check.skip("Go's resolver during an outage", f"{GO} is not built: scripts/test builds it")
        requests(check, "before")
        before = run_all(bed, commands, ASKED)
        for program, (code, lines, told) in before.items():
            check.that(f"M1 {program}, before: it has addresses of both clusters",
                       code == 0 and "10.8.5.1" in str(lines) and "10.9.5.1" in str(lines),
                       (code, lines, told))
        outages.kill(b, daemon)
        time.sleep(TTL + 1)
        requests(check, "cluster b down")
        compare(check, before, run_all(bed, commands, ASKED))
        first_time(bed, check, commands)
        time.sleep(TTL + 1)
        requests(check, "cluster b down for longer")
    print(f"{check.passed} passed, {check.failed} failed, not run: {'; '.join(check.not_run)}")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
