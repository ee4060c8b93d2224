"""A command on a terminal of its own, and somebody who reads what stands there and types."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

#: How a terminal is told of colours, and that lines are edited on it (ECMA-48).
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: Seconds for the next words.
PATIENCE = 60.0


class OnTerminal:
    """One command on its terminal."""

    def __init__(self, child: subprocess.Popen[bytes], master: int) -> None:
        self._child = child
        self._master = master
        self._read = 0
        self._said = b""

    @property
    def screen(self) -> str:
        """Everything that the command has shown, the echo of what was typed with it."""
        return _ESCAPES.sub("", self._said.decode("utf-8", "replace")).replace("\r", "")

    def await_words(self, words: str) -> None:
        """Reads on until these words stand there, after those that were awaited before."""
        assert self._hears(words, PATIENCE), f"waited in vain for {words!r}:\n{self.screen}"

    def interrupt(self, words: str) -> None:
        """Ctrl-C until the command says so.

        One that comes between a prompt and the reading of its answer is not seen before the next
        key (signals in :func:`input`), which nobody's fingers are quick enough for.
        """
        for _ in range(10):
            os.write(self._master, b"\x03")
            if self._hears(words, PATIENCE / 10):
                return
        raise AssertionError(f"Ctrl-C does not end it:\n{self.screen}")

    def _hears(self, words: str, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while (found := self.screen.find(words, self._read)) < 0:
            left = deadline - time.monotonic()
            if left <= 0 or not self._more(left):
                return False
        self._read = found + len(words)
        return True

    def type(self, text: str) -> None:
        """Types it, and Enter."""
        os.write(self._master, f"{text}\r".encode())

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
        self._said += data
        return bool(data)


@contextmanager
def on_terminal(argv: Sequence[str], env: Mapping[str, str]) -> Iterator[OnTerminal]:
    """Runs a command on a terminal of 80 columns; it is ended if it has not ended itself."""
    master, slave = pty.openpty()
    # Ctrl-C is a signal there, also where whoever runs the tests ignores it: in the background
    controlling = ["setsid", "--ctty", "env", "--default-signal=INT", *argv]
    child = subprocess.Popen(controlling, stdin=slave, stdout=slave, stderr=slave, env=dict(env))
    os.close(slave)
    try:
        yield OnTerminal(child, master)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(master)
