"""Where questions are asked: a terminal, or whatever answers in its place."""

from __future__ import annotations

import shutil
import textwrap
from enum import Enum
from typing import Protocol

import click

from ajrd.text import printable


class Tone(Enum):
    """How something is said; the values are the word before it and its colour (ECMA-48)."""

    PLAIN = ("", "")
    HEADING = ("", "1")
    GOOD = ("ok", "32")
    DOUBT = ("warn", "33")
    FAULT = ("fail", "31")
    ADDED = ("", "32")
    TAKEN = ("", "31")


class Console(Protocol):
    """Tells and asks; the asking raises :class:`click.Abort` at the end of input and for Ctrl-C."""

    def tell(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Says something; the text may have several lines."""

    def ask(self, prompt: str) -> str:
        """A line that was typed, "" for an empty one."""

    def secret(self, prompt: str) -> str:
        """The same, and it is not shown."""


class Terminal:
    """The terminal of whoever runs the command; without ``colours`` it is plain text."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours
        self._columns = max(shutil.get_terminal_size().columns, 40)

    def tell(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Lines that are too long are broken."""
        word, colour = tone.value
        for line in text.splitlines() or [""]:
            self._line(line, word, colour)
            word = " " * len(word)

    def _line(self, line: str, word: str, colour: str) -> None:
        """Broken where the terminal ends; a word with a colour of its own stands before it."""
        inset = len(line) - len(line.lstrip(" "))
        first = f"  {word:<5} " if word else " " * inset
        for part in _broken(printable(line.strip(" ")), self._columns - len(first)):
            click.echo(self._painted(first, part, word, colour))
            first, word = " " * len(first), ""

    def _painted(self, first: str, part: str, word: str, colour: str) -> str:
        if not (self._colours and colour):
            return first + part
        return (
            f"\x1b[{colour}m{first}\x1b[0m{part}" if word else f"\x1b[{colour}m{first}{part}\x1b[0m"
        )

    def ask(self, prompt: str) -> str:
        """What was typed is shown."""
        return self._typed(prompt, hidden=False)

    def secret(self, prompt: str) -> str:
        """The terminal's echo is off meanwhile."""
        return self._typed(prompt, hidden=True)

    def _typed(self, prompt: str, *, hidden: bool) -> str:
        typed: str = click.prompt(
            f"  {printable(prompt)}", "", show_default=False, hide_input=hidden
        )
        return typed


def _broken(text: str, columns: int) -> list[str]:
    return textwrap.wrap(
        text, max(columns, 20), break_on_hyphens=False, break_long_words=False
    ) or [""]
