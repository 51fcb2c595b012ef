"""One build for all mutants: a copy of the repository in which an environment
variable selects the change when a test starts.

A change that does not compile is found by the position of the compiler's error,
left out, and remembered for the next run.
"""

import json
import os
import shutil
import subprocess

CHOSEN = "GATHERSRV_MUTANT"
REACHED = "GATHERSRV_MUTANTS_REACHED"
# A round leaves out the changes that the compiler rejects. The compiler reports
# borrows only once all types are right, so several rounds are needed.
ROUNDS = 12
BUILD_SECONDS = 1800

SWITCH = """//! Which change is made in this run, and which changes were reached.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

struct Run {
    chosen: u32,
    reached: Option<std::fs::File>,
}

static RUN: OnceLock<Run> = OnceLock::new();
static SEEN: [AtomicBool; @COUNT@] = [const { AtomicBool::new(false) }; @COUNT@];

fn begin() -> Run {
    let chosen = std::env::var("@CHOSEN@").ok().and_then(|text| text.parse().ok());
    let reached = std::env::var_os("@REACHED@")
        .and_then(|path| std::fs::File::options().append(true).create(true).open(path).ok());
    Run { chosen: chosen.unwrap_or(u32::MAX), reached }
}

/// Whether change `n` is made. Records the first call for each `n`.
pub fn on(n: u32) -> bool {
    let run = RUN.get_or_init(begin);
    if let Some(mut file) = run.reached.as_ref()
        && !SEEN[n as usize].swap(true, Ordering::Relaxed)
    {
        let _ = file.write_all(&[n as u8, (n >> 8) as u8]);
    }
    run.chosen == n
}
"""


class Tree:
    """The copy, and its changes by number."""

    def __init__(self, root, at, target, chosen):
        self.root, self.at, self.target = root, at, target
        self.memory = at.with_name("refused")
        refused = set(self.memory.read_text().splitlines()) if self.memory.exists() else set()
        self.refused = [site for site in chosen if site.name in refused]
        self.sites = dict(enumerate(site for site in chosen if site.name not in refused))
        self.spans = {}

    def make(self):
        """Copies tracked and new files; leaves unchanged copies alone."""
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                cwd=self.root, capture_output=True, check=True).stdout.split(b"\0")
        known = {os.fsdecode(name) for name in listed if name and (self.root / os.fsdecode(name)).is_file()}
        for old in [path for path in self.at.rglob("*") if path.is_file()]:
            if str(old.relative_to(self.at)) not in known:
                old.unlink()
        for name in sorted(known):
            if not (name.startswith("src/") and name.endswith(".rs")):
                self.write(name, (self.root / name).read_bytes(), self.root / name)
        self.known = known
        self.fill()

    def write(self, name, data, like=None):
        path = self.at / name
        if path.is_file() and path.read_bytes() == data:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if like is not None:
            shutil.copymode(like, path)

    def fill(self):
        """Writes the sources with the changes that are left."""
        by_path = {}
        for number, site in self.sites.items():
            by_path.setdefault(site.path, []).append((number, site))
        self.spans = {}
        for name in sorted(self.known):
            if name.startswith("src/") and name.endswith(".rs"):
                text = (self.root / name).read_bytes()
                if name in by_path:
                    text, self.spans[name] = changed(text, by_path[name])
                if name == "src/lib.rs":
                    text += b"\n#[doc(hidden)]\n#[allow(missing_docs)]\npub mod mutant;\n"
                self.write(name, text)
        switch = SWITCH
        for word, value in [("CHOSEN", CHOSEN), ("REACHED", REACHED), ("COUNT", max(self.sites, default=0) + 1)]:
            switch = switch.replace(f"@{word}@", str(value))
        self.write("src/mutant.rs", switch.encode())

    def cargo(self, *words):
        environment = {**os.environ, "CARGO_TARGET_DIR": str(self.target)}
        return subprocess.run(["cargo", *words, "--locked", "--message-format=json"], cwd=self.at, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=BUILD_SECONDS)

    def settle(self):
        """Leaves out what does not compile, builds the tests, and returns their
        binaries by name."""
        for _ in range(ROUNDS):
            print(f"compiling {len(self.sites)} changes", flush=True)
            done = self.cargo("check", "--lib")
            if done.returncode == 0:
                break
            blamed = self.blamed(done.stdout)
            if not blamed:
                raise SystemExit(f"the compiler reports an error outside all changes:\n{done.stderr[-3000:]}")
            self.refused += [self.sites.pop(number) for number in sorted(blamed)]
            with open(self.memory, "a") as memory:
                memory.writelines(f"{site.name}\n" for site in self.refused[-len(blamed):])
            self.fill()
        done = self.cargo("test", "--no-run")
        if done.returncode != 0:
            raise SystemExit(f"the tests do not compile:\n{done.stderr[-3000:]}")
        built = {}
        for message in messages(done.stdout):
            if message.get("reason") == "compiler-artifact" and message.get("executable") and \
                    message["profile"]["test"] and message["target"]["kind"] != ["bin"]:
                kind = "lib" if "lib" in message["target"]["kind"] else message["target"]["name"]
                built[kind] = message["executable"]
        return built

    def blamed(self, output):
        """The innermost change around each error; without one, all of the file."""
        blamed = set()
        for message in messages(output):
            told = message.get("message") or {}
            if message.get("reason") != "compiler-message" or told.get("level") != "error":
                continue
            spans = told.get("spans", []) + [span for child in told.get("children", []) for span in child["spans"]]
            first = [span for span in told.get("spans", []) if span["is_primary"]]
            for some in (first, spans):
                found = {self.around(span) for span in some} - {None}
                if found:
                    blamed |= found
                    break
            else:
                blamed |= {number for span in first for number, *_ in self.spans.get(span["file_name"], [])}
        return blamed

    def around(self, span):
        inside = [(end - start, number) for number, start, end in self.spans.get(span["file_name"], [])
                  if start <= span["byte_start"] and span["byte_end"] <= end]
        return min(inside)[1] if inside else None


def messages(output):
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def changed(source, numbered):
    """The text with all changes in it, and the byte ranges of the changes."""
    order = sorted(numbered, key=lambda one: (one[1].start, -one[1].end, one[0]))
    text, spans, rest = put(source, 0, len(source), order)
    assert not rest, "a change reaches beyond the file"
    return text, spans


def put(source, start, end, order):
    """The bytes from `start` to `end` with the changes of `order` inside them,
    the ranges of these changes, and the changes that are left."""
    out, spans, at = b"", [], start
    while order and order[0][1].end <= end:
        number, site = order[0]
        out += source[at:site.start]
        inner, nested, order = b"", [], order[1:]
        # Of several changes at one place without anything in it none is inside another.
        if site.end > site.start:
            inner, nested, order = put(source, site.start, site.end, order)
        new = site.render(f"crate::mutant::on({number})", inner.decode()).encode()
        shift = len(out) + (new.find(inner) if inner else 0)
        spans.append((number, len(out), len(out) + len(new)))
        spans += [(other, shift + first, shift + last) for other, first, last in nested]
        out, at = out + new, site.end
    return out + source[at:end], spans, order

