"""dig and kdig with the options people give them."""

import re

import ask
from bed import two
from worlds import A, B, Z, pods, seed
from .seed import QUESTION, WHOLE, shape

# Flags, and the octets that the answer may have: what was announced, or the
# daemon's own 1232 where that is less.
OPTIONS = (
    ([], 1232),
    (["+noedns"], 512),
    (["+bufsize=512"], 512),
    (["+bufsize=4096"], 1232),
    (["+tcp"], 65535),
    (["+cookie"], 1232),
    (["+ednsopt=65001:abcd"], 1232),
    (["+subnet=192.0.2.0/24"], 1232),
    (["+nsid", "+dnssec"], 1232),
)
MANY = "_big._tcp.many.default.svc." + Z


def run(bed, check):
    a, b = bed.knot({A: seed(A, "10.8")}), bed.knot({B: seed(B, "10.9")})
    small = bed.gathersrv(*two(a, b))
    large = bed.gathersrv(*two(bed.knot({A: pods(A, "10.8")}), bed.knot({B: pods(B, "10.9")})))
    for tool in ("dig", "kdig"):
        for flags, bound in OPTIONS:
            what = " ".join([tool, *flags])
            at = ["@" + small.host, "-p", small.port, *flags]
            code, out, _ = bed.run(tool, *at, "SRV", QUESTION)
            got = ask.printed(out)
            check.same(f"seed, {what}: the page's answer", (code, shape(got)), (0, WHOLE))
            check.that(f"T1 {what}: at most {bound} octets", got.size <= bound, got.size)
            # dig repeats its own words in its first lines.
            told = "\n".join(line for line in out.splitlines() if "<<>>" not in line)
            echoes = [word for word in ("65001", "CLIENT-SUBNET", "NSID") if word in told]
            check.same(f"T3 {what}: no option is echoed", echoes, [])
            # dig sends a cookie unless told not to, and looks at what it gets.
            if tool == "dig" and "+nocookie" not in flags and "+noedns" not in flags:
                check.that(f"RFC 7873, 5.2.3 {what}: a cookie of ours behind dig's",
                           re.search(r"COOKIE: [0-9a-f]{16}01000000[0-9a-f]{24} \(good\)", told), told)
            at = ["@" + large.host, "-p", large.port, *flags]
            _, out, _ = bed.run(tool, *at, "+ignore", "SRV", MANY)
            got = ask.printed(out)
            check.same(f"T1 {what}: 120 pods, cut to at most {bound} octets",
                       (got.rcode, got.size <= bound, "tc" in got.flags, len(got.answer) < 120),
                       ("NOERROR", True, "+tcp" not in flags, "+tcp" not in flags))
            _, out, _ = bed.run(tool, *at, "SRV", MANY)
            check.same(f"T4 {what}: all 120 pods, over TCP if need be",
                       len(set(ask.printed(out).answer)), 120)
