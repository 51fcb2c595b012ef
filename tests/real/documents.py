"""README.md and docs/*.md as scripts: what a reader would type, file and expect.

A document is its fenced blocks, in order. The first word behind the fence is the
language; what follows it is for this runner and is not shown to readers:

  ```sh             commands: each must end with exit code 0. All of a document run in one
                    bash, in a fresh directory, in namespaces of their own (reader.py)
  ```sh fails=2     its last command ends with this code
  ```sh daemon      one command that goes on, as in a terminal of its own; the next block
                    runs when it has printed the text behind it, or else 'ready'
  ```sh norun       not run: NOT_RUN below has to say why
  ```text           the first behind an sh block, under the same heading: what that printed
  ```text aside     is not what it printed: to be looked at, as is text behind no sh block
  ```LANGUAGE file=NAME   a file; it is written when its turn comes
  ```LANGUAGE       of LANGUAGES: to be looked at
  <!-- stop WORD --> Ctrl-C for the daemon block whose command is WORD

In expected output a line '...' stands for any lines, and '...' in a line for any
characters. Spaces, empty lines, times, ports above 20000, message IDs and cookies
count as equal; a TTL may have run down. A new document is found by itself, and
whatever is not understood here is a failure: nothing goes by unread.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]

LANGUAGES = {"corefile", "yaml", "ini", "conf", "json", "python", "zone", "promql", "text", "toml",
             "javascript"}

# Why a command is not run, by document and how its line begins.
NOT_RUN = {
    "README.md": {
        "cargo install": "builds; scripts/test has built it",
        "cargo run": "builds; the demo is run by the scenario 'process'",
        "scripts/test": "is what runs this",
        "cargo test": "a step of scripts/test",
        "cargo bench": "measures, for minutes",
        "scripts/loadtest": "measures, for minutes",
        "scripts/faulttest": "measures, for minutes",
        "scripts/soak": "measures, for as long as it is told",
        "scripts/instructions": "a step of scripts/test",
        "scripts/mutants": "measures, for an hour",
        "scripts/dependencies": "a step of scripts/test",
    },
    "docs/delegation.md": {
        "dig ": "the scenario 'delegation' asks so through each resolver",
    },
    "docs/kubernetes.md": {
        "docker ": "there is no container engine here",
        "kubectl ": "there is no cluster here",
        "apt-get ": "in a pod",
        "dig ": "in a pod",
    },
    "docs/moving-from-the-plugin.md": {
        "sh compare 10.0.0.10-53": "there is no CoreDNS with the plugin here",
    },
    "docs/running.md": {
        "apt install": "installs; the scenario 'package' does, on a Debian of its own",
        "vi ": "the scenario 'package' writes the file",
        "dig @127.0.0.1 SRV": "the scenario 'package' asks what it has installed",
        "scripts/install": "installs; the scenario 'install' does, elsewhere",
        "systemctl": "systemd is not there; the scenarios 'unit', 'notify' and 'rolling' play it",
        "cp /usr/share/doc": "the package is not installed here",
    },
    "docs/tutorial.md": {
        "cargo install": "builds; scripts/test has built it",
        "sudo apt-get": "a step of scripts/test",
    },
}


class Unclear(Exception):
    """A document that cannot be followed; the text says where and what to do."""


class Block:
    """A fenced block: where, what kind, and its text."""

    def __init__(self, document, line, info, text, heading):
        self.document, self.line, self.text, self.heading = document, line, text, heading
        self.language, *self.words = info.split() or [""]
        self.output = None  # of an sh block: the text block that shows what it prints

    @property
    def place(self):
        return f"{self.document}:{self.line}"

    def value(self, key):
        """What follows KEY= among its words."""
        return next((word[len(key) + 1:] for word in self.words if word.startswith(key + "=")), None)

    def unclear(self, told):
        return Unclear(f"{self.place}: {told}")

    def verify(self):
        """Whatever is not known is a mistake."""
        known = {"sh": ("norun", "daemon", "fails="), "text": ("aside", "file=")}
        words = known.get(self.language, ("file=",))
        if self.language not in LANGUAGES | {"sh"}:
            raise self.unclear(f"'{self.language}' is no language here: write sh, text or another of "
                               + ", ".join(sorted(LANGUAGES)))
        for word in self.words:
            if not any(word == one or one.endswith("=") and word.startswith(one) for one in words):
                raise self.unclear(f"'{word}' means nothing behind {self.language}")
        name = self.value("file")
        if name is not None and not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name):
            raise self.unclear(f"'{name}' is no name of a file in the reader's directory")

    def why_not(self):
        """Why a block that is not run is not."""
        reasons = NOT_RUN.get(self.document, {})
        found = []
        for line in re.sub(r"\\\n\s*", "", self.text).splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            start = next((start for start in reasons if line.startswith(start)), None)
            if start is None:
                raise self.unclear(f"'{line}' is not run, and NOT_RUN has no reason for it")
            found.append((start, reasons[start]))
        return found


class Stop:
    """Ctrl-C for a daemon."""

    def __init__(self, document, line, word):
        self.place, self.word = f"{document}:{line}", word


def documents():
    """Every document, by name."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def called(path):
    """How a document is named in what is told of it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def read(path):
    """The blocks and stops of a document, in order."""
    name = called(path)
    found, fence, heading, last = [], None, None, None
    before_blank, in_list = True, False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if fence:
            mark, indent, info, began, lines = fence
            if line.strip() == mark:
                text = "".join(row.removeprefix(indent) + "\n" for row in lines)
                block = Block(name, began, info, text, heading)
                block.verify()
                found.append(block)
                last, fence = _attach(last, block), None
            else:
                lines.append(line)
            continue
        opened = re.match(r"( *)(`{3,}|~{3,})\s*(.*)$", line)
        if opened:
            fence = (opened[2], opened[1], opened[3], number, [])
        elif line.startswith("#"):
            heading, last = line, None
        elif stop := re.match(r"<!-- stop (\S+) -->$", line):
            found.append(Stop(name, number, stop[1]))
        elif line.startswith("    ") and before_blank and not in_list:
            raise Unclear(f"{name}:{number}: an indented block: write a fence and its language")
        if line and not line.startswith(" "):
            in_list = bool(re.match(r"([-*]|\d+\.) ", line))
        before_blank = not line.strip()
    if fence:
        raise Unclear(f"{name}:{fence[3]}: this block has no end")
    return found


def _attach(last, block):
    """Gives the sh block before it what it prints; the block that may be next."""
    if block.language == "sh":
        return block
    if block.language == "text" and not block.words:
        if last and last.output:
            raise block.unclear("the commands before it have their output: write ```text aside")
        if last:
            last.output = block
    return last


def unused_reasons(blocks):
    """Reasons that no block needs any more."""
    used = {(block.document, start) for block in blocks for start, _ in block.why_not()}
    names = {called(path) for path in documents()}
    return [(name, start) for name, starts in NOT_RUN.items() if name in names
            for start in starts if (name, start) not in used]


# What differs from one run to the next.
_VARYING = (
    (r"\x1b\[[0-9;]*m", ""),
    (r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", "TIME"),
    (r";; WHEN: .*", ";; WHEN: DATE"),
    (r"\bid: \d+", "id: N"),
    (r"COOKIE: [0-9a-f]+", "COOKIE: N"),
    (r"\b\d+(\.\d+)? ?(msec|ms|µs)\b", "N ms"),
    (r":[2-6]\d{4}\b", ":PORT"),
    (r"\s+", " "),
)
_TTL = re.compile(r"(?<= )(\d+)(?= IN )")


def plain(text):
    """Lines without what differs from run to run."""
    found = []
    for line in text.splitlines():
        for pattern, other in _VARYING:
            line = re.sub(pattern, other, line)
        if line.strip():
            found.append(line.strip())
    return found


def matches(expected, printed):
    """Whether this output is the expected one."""
    pattern, limits = "", []
    for line in plain(expected):
        if line == "...":
            pattern += r"(?:.*\n)*?"
            continue
        limits += [int(ttl) for ttl in _TTL.findall(line)]
        parts = [re.escape(part) for part in _TTL.sub("\0", line).split("...")]
        pattern += ".*".join(parts).replace(re.escape("\0"), r"(\d+)") + r"\n"
    got = re.fullmatch(pattern, "".join(line + "\n" for line in plain(printed)))
    return bool(got) and all(int(ttl) <= limit for ttl, limit in zip(got.groups(), limits))


def broken_runbooks():
    """What deploy/ says of headings in the documents that are not there."""
    broken = set()
    for path in (path for path in (ROOT / "deploy").rglob("*") if path.is_file()):
        for name, anchor in re.findall(r"\b(docs/[\w-]+\.md)#([\w-]+)", path.read_text()):
            if not (ROOT / name).exists() or anchor not in anchors(ROOT / name):
                broken.add(f"{name}#{anchor}")
    return sorted(broken)


def unwritten(page, texts):
    """Of these texts of the program, those that a page does not have."""
    written = " ".join(page.read_text().split())
    return sorted(text for text in texts if text not in written)


def ede_texts():
    """The texts of extended DNS errors in the code."""
    found = set()
    for path in (ROOT / "src/engine").rglob("*.rs"):
        code = path.read_text().split("#[cfg(test)]")[0]
        if "ExtendedErrorCode::" in code:
            found |= set(re.findall(r'let text = "([^"]+)"', code))
            found |= set(re.findall(r'notes\s*\.add\([^,]+,\s*"([^"]+)"', code))
    return found


def directives():
    """The directives of a Corefile, by the code that reads them."""
    code = (ROOT / "src/corefile/directives/mod.rs").read_text()
    return re.findall(r'"([a-z-]+)"', re.search(r"KNOWN[^=]*= \[(.*?)\];", code, re.S)[1])


def metrics(page):
    """The names and types in a page's tables of metrics."""
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| (counter|gauge|histogram) \|", page.read_text(),
                      re.M)
    return sorted((name, kind) for names, kind in rows for name in re.findall(r"`([a-z_]+)`", names))


def anchors(path):
    """What links into a document may name, as GitHub makes it of headings."""
    found, fenced = set(), False
    for line in path.read_text().splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        heading = re.match(r"#+ (.*)", line)
        if heading and not fenced:
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1])
            found.add(re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-"))
    return found


def broken_links(path):
    """Links of a document to files or headings that are not there."""
    text = re.sub(r"^ *(```|~~~).*?^ *\1", "", path.read_text(), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists():
            broken.append(link)
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target)):
            broken.append(link)
    return broken
