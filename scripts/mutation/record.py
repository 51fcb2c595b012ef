"""The report of the trials, and the record in the repository, which has a line
on each survivor."""

import collections
import datetime

PATH = "tests/mutants.txt"
EQUIVALENT = "equivalent"
# The line of a survivor without a verdict.
UNKNOWN = "not looked at"


def read(root):
    """The lines of the record by the names of the mutants."""
    path, words = root / PATH, {}
    name = None
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.startswith("src/"):
            name = line
        elif line.startswith("    ") and name:
            words[name] = line.strip()
            name = None
    return words


def is_equivalent(site, words):
    return words.get(site.name, "").startswith(EQUIVALENT)


def table(results, words):
    """A row for each folder; the share leaves equivalent mutants out."""
    rows = [f"{'folder':<10}{'tried':>7}{'caught':>8}{'equivalent':>12}{'survived':>10}{'share':>8}"]
    by = collections.defaultdict(list)
    for site, result in results.items():
        by[site.folder].append((site, result))
        by["all"].append((site, result))
    for folder in [*sorted(by.keys() - {"all"}), "all"]:
        caught = sum(result.caught_by is not None for _, result in by[folder])
        same = sum(result.caught_by is None and is_equivalent(site, words) for site, result in by[folder])
        tried = len(by[folder])
        share = f"{caught / (tried - same):.0%}" if tried > same else "-"
        rows.append(f"{folder:<10}{tried:>7}{caught:>8}{same:>12}{tried - caught - same:>10}{share:>8}")
    return "\n".join(rows)


def table_alone(flags, alone, words):
    """The share that one binary catches; it leaves equivalent mutants out."""
    if not alone:
        return []
    own = [result for site, result in alone.items() if not is_equivalent(site, words)]
    caught = sum(result.caught_by is not None for result in own)
    return [f"{flags.alone} alone: {caught} of {len(own)} in engine, {caught / max(len(own), 1):.0%}"]


def survivors(results):
    return sorted((site for site, result in results.items() if result.caught_by is None),
                  key=lambda site: (site.path, site.start, site.name))


def report(flags, results, alone, words):
    """The table, the survivors, and the mutants caught by each test binary."""
    lines = [table(results, words), *table_alone(flags, alone, words), ""]
    by = collections.Counter(result.caught_by for result in results.values() if result.caught_by)
    lines.append("caught by: " + ", ".join(f"{name} {count}" for name, count in by.most_common()))
    for site in survivors(results):
        reached = "" if results[site].reached else " (no test reaches it)"
        lines += [f"{site.name}{reached}", f"    {words.get(site.name, UNKNOWN)}"]
    if alone:
        lines += ["", f"not caught by {flags.alone} alone:"]
        lines += [site.name for site in survivors(alone) if results[site].caught_by]
    return "\n".join(lines)


def write(root, flags, results, alone, words):
    """Keeps equivalent mutants of other samples: a later sample may have them."""
    lived = {site.name: words.get(site.name, UNKNOWN) for site in survivors(results)}
    known = {name: word for name, word in words.items() if word.startswith(EQUIVALENT) and name not in lived}
    command = f"scripts/mutants --sample {flags.sample} --seed {flags.seed}"
    if flags.alone:
        command += f" --alone {flags.alone}"
    lines = ["# Mutation testing: small changes of the program, and the share that the tests catch.",
             f"# {command}, {datetime.date.today()}", "", table(results, words),
             *table_alone(flags, alone, words), "",
             "# Survivors of this sample, and why each may live.", ""]
    for name, word in lived.items():
        lines += [name, f"    {word}"]
    lines += ["", "# Equivalent mutants of other samples.", ""]
    for name, word in sorted(known.items()):
        lines += [name, f"    {word}"]
    (root / PATH).write_text("\n".join(lines) + "\n")
