"""Where questions are asked: a terminal, or whatever answers in its place."""

from __future__ import annotations

import getpass
import importlib
import shutil
import textwrap
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Protocol

import click

from ajrd.text import printable


class Tone(Enum):
    """How something is said."""

    PLAIN = "plain"
    HEADING = "heading"
    GOOD = "good"
    DOUBT = "doubt"
    FAULT = "fault"
    #: Lines of a file, as they are: the same as before, added, taken away.
    LINE = "line"
    ADDED = "added"
    TAKEN = "taken"


#: The word before what is said.
_WORDS = {Tone.GOOD: "ok", Tone.DOUBT: "warn", Tone.FAULT: "fail"}
#: The colour of the word, or of all of it (ECMA-48).
_COLOURS = {
    Tone.HEADING: "1",
    Tone.GOOD: "32",
    Tone.DOUBT: "33",
    Tone.FAULT: "31",
    Tone.ADDED: "32",
    Tone.TAKEN: "31",
}
_UNBROKEN = frozenset({Tone.LINE, Tone.ADDED, Tone.TAKEN})


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
        with suppress(ImportError):
            importlib.import_module("readline")  # arrows in :func:`input`
        self._colours = colours
        self._columns = max(shutil.get_terminal_size().columns, 40)

    def tell(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Lines that are too long are broken, but for those of files."""
        word = _WORDS.get(tone, "")
        for line in text.splitlines() or [""]:
            inset = " " * (8 if tone in _WORDS else len(line) - len(line.lstrip(" ")))
            first = f"  {word:<5} " if tone in _WORDS else inset
            rest = inset if tone in _WORDS or not inset else f"{inset}  "
            for part in self._broken(printable(line.strip(" ")), tone, len(rest)):
                click.echo(self._painted(first, part, tone), color=self._colours)
                first = rest
            word = ""

    def _broken(self, text: str, tone: Tone, inset: int) -> list[str]:
        if tone in _UNBROKEN:
            return [text]
        room = max(self._columns - inset, 20)
        return textwrap.wrap(text, room, break_on_hyphens=False, break_long_words=False) or [""]

    def _painted(self, first: str, part: str, tone: Tone) -> str:
        colour = _COLOURS.get(tone)
        if not (self._colours and colour):
            return first + part
        if tone in _WORDS:
            return f"\x1b[{colour}m{first}\x1b[0m{part}"
        return f"\x1b[{colour}m{first}{part}\x1b[0m"

    def ask(self, prompt: str) -> str:
        """What was typed is shown."""
        return _typed(input, prompt)

    def secret(self, prompt: str) -> str:
        """The terminal's echo is off meanwhile."""
        return _typed(getpass.getpass, prompt)


def _typed(read: Callable[[str], str], prompt: str) -> str:
    try:
        return read(f"  {printable(prompt)}: ")
    except (EOFError, KeyboardInterrupt):
        raise click.Abort from None
