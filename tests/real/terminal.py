"""A program in a real terminal: tmux, with a server of its own for each."""

import shlex
import tempfile
import pathlib
import time

# Seconds until a screen shows what it is to show.
PATIENCE = 15


class Terminal:
    """Runs a command; what is on its screen then can be looked at."""

    def __init__(self, bed, words, width=110, height=30):
        home = pathlib.Path(tempfile.mkdtemp(dir=bed.dir, prefix="tmux-"))
        (home / "tmux.conf").write_text("set -g exit-empty off\nset -g status off\n")
        self.bed = bed
        self.tmux = ["tmux", "-S", home / "socket", "-f", home / "tmux.conf"]
        bed.server([*self.tmux, "-D"], 0)
        command = shlex.join(str(word) for word in words)
        # What it leaves behind is seen, too.
        after = "; echo ended $?; stty -a | tr ' ;' '\\n\\n' | grep -x -e '-*icanon' -e '-*echo'; sleep 600"
        begun = ["new-session", "-d", "-x", width, "-y", height, "bash", "-c", command + after]
        end = time.monotonic() + PATIENCE
        while True:
            code, _, told = bed.run(*self.tmux, *begun)
            if code == 0:
                break
            if time.monotonic() > end:
                raise RuntimeError(f"tmux: {told}")
            time.sleep(0.1)

    def _do(self, *words):
        code, out, told = self.bed.run(*self.tmux, *words)
        if code:
            raise RuntimeError(f"tmux {words[0]}: {told}")
        return out

    def screen(self, colours=False):
        """What is on the screen, line by line."""
        return self._do("capture-pane", "-p", *(["-e"] if colours else [])).splitlines()

    def key(self, *keys):
        self._do("send-keys", *keys)

    def resize(self, width, height):
        self._do("resize-window", "-x", width, "-y", height)

    def pids(self, name):
        """Processes of that name in it."""
        shell = self._do("list-panes", "-F", "#{pane_pid}").strip()
        _, out, _ = self.bed.run("pgrep", "-P", shell, "-f", name)
        return [int(pid) for pid in out.split()]

    def until(self, shows):
        """Whether the screen comes to show it: a text, or what a function says of its lines."""
        if isinstance(shows, str):
            return self.until(lambda lines: any(shows in line for line in lines))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if shows(self.screen()):
                return True
            time.sleep(0.1)
        return False
