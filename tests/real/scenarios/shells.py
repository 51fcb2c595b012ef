"""What a shell offers, and what the manual says: completions in bash, zsh and
fish, pages without a complaint, help that ends with its reader."""

import shutil
import subprocess

# The words to complete the last of, and some of what has to be offered.
WANTED = [
    (["--dead"], ["--deadline"]),
    (["--on-missing", ""], ["stale", "partial", "fail"]),
    (["top", "--"], ["--admin", "--once", "--interval"]),
    (["explain", "--ke"], ["--keep", "--keep-for", "--keep-on-empty"]),
    (["completions", ""], ["bash", "zsh", "fish"]),
    (["help", "--keep-o"], ["--keep-on-empty"]),
    (["ex"], ["explain"]),
]

BASH = """
source "$1"
shift
COMP_WORDS=(gathersrv "$@") COMP_CWORD=$#
COMP_LINE="${COMP_WORDS[*]}" COMP_POINT=${#COMP_LINE}
_gathersrv gathersrv "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""

# zsh completes in a terminal only: one is made, and asked.
ZSH = """
zmodload zsh/zpty
fpath=("$1" $fpath)
zpty -b z zsh -f -i
zpty -w z "PS1=; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -d $1/dump; setopt no_beep; \
zstyle ':completion:*' list-prompt ''; LISTMAX=9999; echo re'ady'"
integer n=0
while (( n++ < 200 )); do zpty -rt z line; [[ $line == *ready* ]] && break; sleep 0.05; done
zpty -wn z "$2"$'\\t\\t'
n=0
while (( n++ < 30 )); do while zpty -rt z line; do print -rn -- "$line"; done; sleep 0.1; done
zpty -d z
"""


def script(bed, check, shell, file):
    code, out, told = bed.run(bed.binary, "completions", shell)
    check.same(f"completions {shell}: exit code 0, nothing on stderr", (code, told), (0, ""))
    file.write_text(out)


def bash(bed, check, home):
    file = home / "gathersrv.bash"
    script(bed, check, "bash", file)
    for words, wanted in WANTED:
        code, out, told = bed.run("bash", "--norc", "-c", BASH, "bash", file, *words)
        offered = out.split()
        check.same(f"bash completes '{' '.join(words)}'",
                   (code, told, [word for word in wanted if word not in offered]), (0, "", []))


def fish(bed, check, home):
    if not shutil.which("fish"):
        check.skip("completions in fish", "there is no fish")
        return
    file = home / "gathersrv.fish"
    script(bed, check, "fish", file)
    for words, wanted in WANTED:
        line = "gathersrv " + " ".join(words)
        code, out, told = bed.run("fish", "--no-config", "-c", 'source $argv[1]; complete -C $argv[2]', file, line)
        offered = [line.split("\t")[0] for line in out.splitlines()]
        check.same(f"fish completes '{' '.join(words)}'",
                   (code, told, [word for word in wanted if word not in offered]), (0, "", []))


def zsh(bed, check, home):
    if not shutil.which("zsh"):
        check.skip("completions in zsh", "there is no zsh")
        return
    script(bed, check, "zsh", home / "_gathersrv")
    code, _, told = bed.run("zsh", "-n", home / "_gathersrv")
    check.same("zsh reads its completions", (code, told), (0, ""))
    check.that("zsh takes no part of a value's name for a command",
               ":ADDR:" not in (home / "_gathersrv").read_text(), "a value is called ADDR:PORT")
    for words, wanted in WANTED:
        line = "gathersrv " + " ".join(words)
        _, out, told = bed.run("zsh", "-f", "-c", ZSH, "zsh", home, line, timeout=60)
        check.that(f"zsh completes '{' '.join(words)}'", all(word in out for word in wanted), out + told)


def manual(bed, check, home):
    pages = home / "man"
    pages.mkdir()
    code, out, told = bed.run(bed.binary, "man", "--dir", pages)
    check.same("man --dir: exit code 0, nothing printed", (code, out, told), (0, "", ""))
    _, help_page, _ = bed.run(bed.binary, "--help")
    commands = ["check", "explain", "top", "demo", "completions", "man", "help"]
    check.same("every command is on the first page of help",
               [name for name in commands if f" {name} " not in help_page], [])
    check.same("there is a page for each command", sorted(page.name for page in pages.iterdir()),
               sorted(["gathersrv.1", *(f"gathersrv-{name}.1" for name in commands)]))
    _, first, _ = bed.run(bed.binary, "man")
    check.same("man prints the first page", first, (pages / "gathersrv.1").read_text())
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SIGNALS", "\"EXIT STATUS\"", "FILES",
                    "EXAMPLES", "\"SEE ALSO\""):
        check.that(f"gathersrv.1 has {heading}", f"\n.SH {heading}\n" in first, first)
    code, _, told = bed.run(bed.binary, "man", "--dir", home / "nowhere")
    check.same("no such directory: exit code 1", code, 1)
    check.that("no such directory: the message names it", "nowhere" in told, told)
    if not shutil.which("mandoc"):
        check.skip("the pages' form", "there is no mandoc")
        return
    for page in sorted(pages.iterdir()):
        code, out, told = bed.run("mandoc", "-T", "lint", page)
        check.same(f"mandoc finds nothing in {page.name}", (code, out, told), (0, "", ""))


def help_ends(bed, check):
    """A reader that has seen enough is no failure."""
    for words in (["help", "flags"], ["man"], ["completions", "bash"]):
        done = subprocess.run(["bash", "-c", '"$@" | head -n 1; echo ${PIPESTATUS[0]}', "bash", bed.binary, *words],
                              capture_output=True, text=True, timeout=30)
        check.same(f"{words}: who reads only a line sees no error", (done.stdout.split()[-1], done.stderr), ("0", ""))
    code, out, told = bed.run(bed.binary, "help", "dedline")
    check.same("help for an unknown word: exit code 2, nothing on stdout", (code, out), (2, ""))
    check.that("help for an unknown word: the nearest is named", "'deadline'" in told, told)
    code, out, _ = bed.run(bed.binary, "help", "--deadline")
    check.same("help --deadline: exit code 0", (code, "From 10ms to 60s" in out), (0, True))


def run(bed, check):
    bash(bed, check, bed.dir)
    fish(bed, check, bed.dir)
    zsh(bed, check, bed.dir)
    manual(bed, check, bed.dir)
    help_ends(bed, check)
