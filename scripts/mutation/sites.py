"""The sites of the mutants: places in the syntax tree, each with one change.

A change replaces one token or leaves out one statement. The program chooses it
at run time, so constants, types, patterns and the arguments of macros have no
sites. Unsafe blocks have none either, because a changed one has undefined
behaviour.
"""

import collections
import random
import re
from dataclasses import dataclass, field

SWAPPED = {
    "==": ["!="], "!=": ["=="], "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"],
    "&&": ["||"], "||": ["&&"], "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"],
    "<<": [">>"], ">>": ["<<"], "&": ["|"], "|": ["&"], "^": ["&"],
    "+=": ["-="], "-=": ["+="], "*=": ["/="], "/=": ["*="], "|=": ["&="], "&=": ["|="], "^=": ["&="],
}
OPPOSITE = {"min": "max", "max": "min", "any": "all", "all": "any", "is_some": "is_none", "is_none": "is_some"}
INTEGERS = {"u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize"}
# Nodes without sites: not executed, or evaluated at compile time.
CLOSED = {"const_item", "static_item", "type_item", "struct_item", "enum_item", "use_declaration", "attribute_item",
          "inner_attribute_item", "macro_invocation", "macro_definition", "unsafe_block", "type_arguments",
          "array_type", "const_block", "line_comment", "block_comment"}


@dataclass(frozen=True)
class Site:
    """One change. `start` and `end` are byte offsets in `path`; `shape` selects
    how `render` combines the change with the original."""

    path: str
    function: str
    operator: str
    start: int
    end: int
    shape: str
    change: str
    told: str = field(compare=False)

    @property
    def name(self):
        return f"{self.path} {self.function}: {self.told}"

    @property
    def folder(self):
        return self.path.split("/")[1]

    def render(self, chosen, inner):
        """The text for this site. `inner` is the original with the changes inside
        it; `chosen` is the expression that is true when this change is made."""
        if self.shape == "instead":
            return f"(if {chosen} {{ {self.change} }} else {{ {inner} }})"
        if self.shape == "left out":
            return f"if !{chosen} {{ {inner} }}"
        if self.shape == "negated":
            return f"(({inner}) != {chosen})"
        if self.shape == "first":
            return f" if {chosen} {{ return {self.change}; }} "
        if self.shape == "no such arm":
            return f" if !{chosen} "
        if self.shape == "never":
            return f"(!{chosen} && ({inner}))"
        return f"({chosen} || ({inner}))"


def parser():
    import tree_sitter
    import tree_sitter_rust
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))


def short(text):
    line = re.sub(r"\s+", " ", text)
    return line if len(line) <= 72 else line[:69] + "..."


class Finder:
    """Collects the sites of one file."""

    def __init__(self, path, source):
        self.path, self.source, self.sites = path, source, []
        self.function = ""

    def text(self, node):
        return self.source[node.start_byte:node.end_byte].decode()

    def add(self, operator, start, end, shape, change, told):
        self.sites.append(Site(self.path, self.function, operator, start, end, shape, change, told))

    def instead(self, operator, node, change):
        self.add(operator, node.start_byte, node.end_byte, "instead", change,
                 f"{short(self.text(node))} => {short(change)}")

    def walk(self, node):
        if node.type in CLOSED:
            return
        outer = self.function
        if node.type == "function_item":
            modifiers = [self.text(child) for child in node.children if child.type == "function_modifiers"]
            if any(word in text.split() for text in modifiers for word in ("const", "unsafe")):
                return
            self.function = self.text(node.child_by_field_name("name"))
            self.body(node)
        visit = getattr(self, "at_" + node.type, None)
        if visit:
            visit(node)
        tested = False
        for child in node.children:
            if child.type == "attribute_item":
                tested = tested or "test" in self.text(child)
                continue
            if child.is_named and not tested and not self.is_closed(node, child):
                self.walk(child)
            tested = tested and child.type in ("line_comment", "block_comment")
        self.function = outer

    def is_closed(self, node, child):
        """Patterns, types, lengths of arrays, and indices of tuple fields."""
        kinds = ("pattern", "type", "return_type", "length", "parameters", "trait", "bounds")
        fields = [node.child_by_field_name(kind) for kind in kinds]
        if node.type == "match_arm" and child == fields[0]:
            return False
        if node.type == "match_pattern":
            return child != node.child_by_field_name("condition")
        if node.type == "field_expression" and child == node.child_by_field_name("field"):
            return True
        return child in fields

    def body(self, node):
        """Mutants that return a default value in place of the body."""
        block = node.child_by_field_name("body")
        if block is None or block.named_child_count == 0 or self.function in ("default", "new"):
            return
        returned = node.child_by_field_name("return_type")
        for change in self.defaults(self.text(returned) if returned else ""):
            at = block.start_byte + 1
            self.add("function", at, at, "first", change, f"returns {change or 'at once'}")

    @staticmethod
    def defaults(kind):
        if kind == "":
            return [""]
        if kind == "bool":
            return ["true", "false"]
        if kind in INTEGERS:
            return ["0", "1"]
        if kind.startswith("Option<"):
            return ["None"]
        if kind.startswith(("Result<()", "io::Result<()")):
            return ["Ok(())"]
        if "Result<" in kind:
            return ["Ok(Default::default())"]
        if kind in ("&str", "&'static str"):
            return ['""']
        if kind.startswith("&[") and kind.endswith("]"):
            return ["&[]"]
        if kind.startswith(("&", "impl ", "Self", "!")) or "dyn " in kind:
            return []
        return ["Default::default()"]

    def at_binary_expression(self, node):
        operator = node.child_by_field_name("operator")
        before = self.source[node.start_byte:operator.start_byte].decode()
        after = self.source[operator.end_byte:node.end_byte].decode()
        for other in SWAPPED.get(self.text(operator), []):
            self.instead("operator", node, before + other + after)

    at_compound_assignment_expr = at_binary_expression

    def at_unary_expression(self, node):
        if self.text(node)[0] in "!-" and node.children[1].type != "integer_literal":
            self.instead("unary", node, self.text(node)[1:])

    def at_if_expression(self, node):
        condition = node.child_by_field_name("condition")
        if condition.type in ("call_expression", "identifier", "field_expression", "await_expression"):
            self.add("condition", condition.start_byte, condition.end_byte, "negated", "",
                     f"if {short(self.text(condition))} => if not")

    def at_match_block(self, node):
        """An arm can be left out if the last arm matches everything."""
        arms = [child for child in node.children if child.type == "match_arm"]
        pattern = [arm.child_by_field_name("pattern") for arm in arms]
        for at in pattern:
            condition = at.child_by_field_name("condition")
            if condition is not None and condition.type not in ("let_condition", "let_chain"):
                told = f"{short(self.text(at))} => "
                self.add("guard", condition.start_byte, condition.end_byte, "never", "", told + "never")
                self.add("guard", condition.start_byte, condition.end_byte, "always", "", told + "without if")
        if not pattern or self.text(pattern[-1]) != "_":
            return
        for at in pattern[:-1]:
            if at.child_by_field_name("condition") is None:
                self.add("arm", at.end_byte, at.end_byte, "no such arm", "", f"without the arm {short(self.text(at))}")

    def at_integer_literal(self, node):
        value = self.text(node)
        if re.fullmatch(r"[0-9_]+", value):
            self.instead("number", node, str(int(value.replace("_", "")) + 1))

    def at_call_expression(self, node):
        callee = node.child_by_field_name("function")
        if callee.type != "field_expression":
            return
        name = callee.child_by_field_name("field")
        other = OPPOSITE.get(self.text(name))
        if other:
            before = self.source[node.start_byte:name.start_byte].decode()
            after = self.source[name.end_byte:node.end_byte].decode()
            self.instead("method", node, before + other + after)

    def at_expression_statement(self, node):
        first = node.children[0]
        while first.type in ("try_expression", "await_expression"):
            first = first.children[0]
        if first.type in ("call_expression", "assignment_expression", "compound_assignment_expr") and \
                self.text(node).endswith(";"):
            self.add("statement", node.start_byte, node.end_byte, "left out", "",
                     f"without {short(self.text(node))}")


def sites(root, folders):
    """All sites of the files under src/FOLDER, with unique names."""
    found, reader = [], parser()
    for folder in folders:
        for path in sorted((root / "src" / folder).rglob("*.rs")):
            if path.name == "tests.rs":
                continue
            source = path.read_bytes()
            finder = Finder(str(path.relative_to(root)), source)
            finder.walk(reader.parse(source).root_node)
            found += finder.sites
    return told_apart(found)


def told_apart(found):
    """Numbers the sites of a function that have equal names."""
    seen, named = collections.Counter(), []
    for site in found:
        seen[site.name] += 1
        extra = f" ({seen[site.name]})" if seen[site.name] > 1 else ""
        named.append(Site(**{**site.__dict__, "told": site.told + extra}))
    return named


def sample(found, count, seed):
    """A stratified sample: each folder gets a twentieth of `count`, and the rest
    in proportion to its sites; within a folder files, and within a file
    operators, are represented in proportion."""
    luck = random.Random(seed)
    folders = groups(found, lambda site: site.folder)
    least = max(1, count // 20)
    spare = max(0, count - least * len(folders))
    chosen = []
    for folder, of_folder in sorted(folders.items()):
        share = min(len(of_folder), least + round(spare * len(of_folder) / len(found)))
        chosen += spread(of_folder, share, luck, [lambda site: site.path, lambda site: site.operator])
    return sorted(chosen, key=lambda site: (site.path, site.start, -site.end, site.name))


def fewer(numbered, count, seed):
    """A random `count` of the numbered sites."""
    luck = random.Random(seed)
    return dict(sorted(luck.sample(sorted(numbered.items(), key=lambda one: one[0]), min(count, len(numbered)))))


def groups(found, key):
    by = collections.defaultdict(list)
    for site in found:
        by[key(site)].append(site)
    return by


def spread(found, count, luck, keys):
    """Divides `count` among the groups of the first key in proportion; the
    remainders go to random groups."""
    if not keys or count >= len(found):
        return luck.sample(found, min(count, len(found)))
    by = sorted(groups(found, keys[0]).items())
    parts = {key: count * len(group) / len(found) for key, group in by}
    whole = {key: int(part) for key, part in parts.items()}
    rest = count - sum(whole.values())
    lucky = sorted(parts, key=lambda key: luck.random() / max(parts[key] - whole[key], 1e-9))[:rest]
    chosen = []
    for key, group in by:
        chosen += spread(group, whole[key] + (key in lucky), luck, keys[1:])
    return chosen
