"""The tables of hostile inputs (tests/hostile): rows, and their octets.

What the words mean is told at the top of clients.txt. A text may stand for
several inputs, so everything here is a list of possibilities.
"""

import itertools
import pathlib
import re
import struct

TABLES = pathlib.Path(__file__).parent.parent / "hostile"

# A word ends where the next begins; spaces mean nothing.
_TOKEN = re.compile(r'\s*("[^"]*"|[0-9a-f]+|(?:SIZED|CUT)(?=\()|[A-Z]+(?:\([0-9a-fx,]*\))?'
                    r'|\.\.|\*\d+|[()\[\]])')


class Row:
    """Name, every input, reaction and source."""

    def __init__(self, line, section):
        self.name, octets, self.reaction, self.source = [part.strip() for part in line.split("|")]
        self.section = section
        self.inputs = inputs(octets)


def rows(table):
    found, section = [], ""
    for line in (TABLES / table).read_text().splitlines():
        if line.startswith("# "):
            section = line[2:]
        elif line.strip() and not line.startswith("//"):
            found.append(Row(line, section))
    return found


def inputs(text):
    tokens = _split(text)
    found = _run(tokens)
    if tokens:
        raise ValueError(f"cannot go on at {tokens[0]!r} in {text!r}")
    return found


def _split(text):
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise ValueError(f"what is {text[at:]!r}?")
        at = match.end()
        tokens.append(match[1])
    return tokens


def _joined(parts):
    """Each possibility of the first part with each of the second, and so on."""
    return [b"".join(choice) for choice in itertools.product(*parts)]


def _close(tokens, end):
    if not tokens or tokens.pop(0) != end:
        raise ValueError(f"no {end!r}")


def _run(tokens):
    parts = []
    while tokens and tokens[0] not in (")", "]"):
        parts.append(_item(tokens))
    return _joined(parts)


def _item(tokens):
    """One thing, and how often."""
    once = _once(tokens)
    if not (tokens and tokens[0].startswith("*")):
        return once
    times = int(tokens.pop(0)[1:])
    return [once[0] * times] if len(once) == 1 else _joined([once] * times)


def _once(tokens):
    token = tokens.pop(0)
    if token in ("(", "SIZED", "CUT"):
        if token != "(":
            _close(tokens, "(")
        inner = _run(tokens)
        _close(tokens, ")")
        if token == "SIZED":
            return [_sized(octets) for octets in inner]
        if token == "CUT":
            return [octets[:n] for octets in inner for n in range(len(octets))]
        return inner
    if token == "[":
        return _one_of(tokens)
    if token.startswith('"'):
        return [_label(token[1:-1].encode())]
    if token[0].isupper():
        return [_part(token)]
    return [bytes.fromhex(token)]


def _one_of(tokens):
    """Behind '[': possibilities, and ranges of them."""
    found = []
    while tokens and tokens[0] != "]":
        item = _item(tokens)
        if tokens and tokens[0] == "..":
            tokens.pop(0)
            first, last = item[0], _item(tokens)[0]
            span = range(int.from_bytes(first, "big"), int.from_bytes(last, "big") + 1)
            item = [n.to_bytes(len(first), "big") for n in span]
        found += item
    _close(tokens, "]")
    return found


def _part(token):
    word, _, rest = token.rstrip(")").partition("(")
    given = [int(number, 0) for number in rest.split(",") if number]

    def n(place, otherwise):
        return given[place] if place < len(given) else otherwise

    return {
        "NOTHING": lambda: b"",
        "HEADER": lambda: _twos(0x4242, n(4, 0x0100), n(0, 0), n(1, 0), n(2, 0), n(3, 0)),
        "NAME": lambda: WEB,
        "QUESTION": lambda: WEB + _twos(n(0, 1), n(1, 1)),
        "LABEL": lambda: _label(b"x" * n(0, 1)),
        "RR": lambda: _twos(n(0, 1), 1) + struct.pack("!I", n(1, 30)),
        "OPT": lambda: b"\0" + _twos(41, 1232, 0, 0, 0),
        "OPTHEAD": lambda: b"\0" + _twos(41, 1232, 0, 0),
        "COOKIE": lambda: _twos(10) + _sized(b"\xc5" * n(0, 8)),
    }[word]()


def _twos(*numbers):
    return struct.pack(f"!{len(numbers)}H", *numbers)


def _label(octets):
    return bytes([len(octets)]) + octets


def _sized(octets):
    return _twos(len(octets)) + octets


WEB = _label(b"web") + _label(b"distributed") + _label(b"local") + b"\0"
