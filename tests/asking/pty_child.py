"""A command on a terminal of its own, and somebody who reads what stands there and types."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

#: Seconds for the next words.
PATIENCE = 60.0


class OnTerminal:
    """``screen`` is everything that the command has shown, the echo of what was typed with it."""

    def __init__(self, child: subprocess.Popen[bytes], master: int) -> None:
        self._child = child
        self._master = master
        self._read = 0
        self.screen = ""

    def await_words(self, words: str) -> None:
        """Reads on until these words stand there, after those that were awaited before."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.screen.find(words, self._read)) < 0:
            left = deadline - time.monotonic()
            assert left > 0, f"waited in vain for {words!r}:\n{self.screen}"
            assert self._more(left), f"ended before {words!r}:\n{self.screen}"
        self._read = found + len(words)

    def type(self, text: str) -> None:
        """Types it, and Enter."""
        os.write(self._master, f"{text}\r".encode())

    def press(self, key: bytes) -> None:
        """One key, without Enter."""
        os.write(self._master, key)

    def end(self) -> int:
        """Reads to the end; the exit code."""
        while self._more(PATIENCE):
            pass
        return self._child.wait(PATIENCE)

    def _more(self, patience: float) -> bool:
        """Is there anything to read? A terminal that nobody has any more answers EIO (pty(7))."""
        if not select.select([self._master], [], [], patience)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self.screen += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)


@contextmanager
def on_terminal(argv: Sequence[str], env: Mapping[str, str]) -> Iterator[OnTerminal]:
    """Runs a command on a terminal of 80 columns; it is ended if it has not ended itself."""
    master, slave = pty.openpty()
    controlling = ["setsid", "--ctty", *argv]  # Ctrl-C is a signal there
    child = subprocess.Popen(controlling, stdin=slave, stdout=slave, stderr=slave, env=dict(env))
    os.close(slave)
    try:
        yield OnTerminal(child, master)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(master)
