"""The pattern language of the rules: what hyperscan and RE2 understand alike.

Patterns are ASCII, work on bytes, and never look beyond one line. ``^`` and ``$`` are the ends of
a line. RE2 has the last word on every line, so hyperscan may only ever say too much; the few
constructs that the two read differently are refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Protocol

import re2  # type: ignore[import-untyped]

#: Escapes that PCRE (hyperscan) and RE2 read differently, or that can leave the line or ASCII.
_REFUSED = re.compile(r"(?<!\\)(?:\\\\)*\\([AZzQECpPXRKGhHNvVnr]|x\{|x[89a-fA-F][0-9a-fA-F])")
_TOKEN = re.compile(r"\\.|\(\?P<\w+>")
_LONGEST = 2000
#: Bytes for an alternation of all rules, and for the one pattern of a stranger.
MEMORY, LITTLE_MEMORY = 64 << 20, 2 << 20


class Match(Protocol):
    """The part of a match object that ajrd uses."""

    def start(self) -> int:
        """Where the match begins, bytes."""

    def end(self) -> int:
        """Where the match ends, bytes."""

    def groupdict(self) -> dict[bytes, bytes | None]:
        """The named groups; of a pattern in bytes the names are bytes, too."""


class Regex(Protocol):
    """A compiled RE2 pattern for bytes."""

    def search(self, text: bytes, pos: int = 0, endpos: int | None = None) -> Match | None:
        """The first match in ``text[pos:endpos]``."""

    def finditer(self, text: bytes, pos: int = 0, endpos: int | None = None) -> Iterator[Match]:
        """All matches that do not overlap."""


class PatternError(ValueError):
    """A pattern is outside the common subset; the text says why."""


def compile_line(pattern: str, *, sensitive: bool, memory: int = MEMORY) -> Regex:
    """RE2's form of one pattern; raises :class:`PatternError`."""
    try:
        return compile_any([(pattern, sensitive)], memory)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        said = reason.decode("ascii", "replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(said) from None


def compile_any(patterns: Iterable[tuple[str, bool]], memory: int = MEMORY) -> Regex:
    """One alternation of (pattern, case sensitive) pairs; group names must not repeat.

    ``memory`` bounds the compiled form and what RE2 remembers while it runs, bytes.
    """
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = memory
    source = "|".join(_inline(pattern, sensitive) for pattern, sensitive in patterns)
    compiled: Regex = re2.compile(source.encode("ascii"), options)
    return compiled


def groupless(pattern: str) -> str:
    """The pattern with the names of its groups taken away, for alternations and for hyperscan."""
    return _TOKEN.sub(lambda m: m[0] if m[0][0] == "\\" else "(?:", pattern)


def check(pattern: str, *, sensitive: bool, re2_only: bool = False, memory: int = MEMORY) -> Regex:
    """Compiles a pattern after the checks that keep both engines of one mind.

    ``re2_only`` is for patterns that hyperscan never sees (facts, exclusions, owners' own).
    """
    if not pattern.isascii() or not pattern.isprintable():
        raise PatternError("only printable ASCII is allowed")
    if len(pattern) > _LONGEST:
        raise PatternError(f"longer than {_LONGEST} characters")
    refused = _REFUSED.search(pattern)
    if refused and not re2_only:
        raise PatternError(f"\\{refused[1]} is not the same in hyperscan and RE2, or leaves a line")
    regex = compile_line(pattern, sensitive=sensitive, memory=memory)
    if regex.search(b"") is not None:
        raise PatternError("it matches an empty line")
    return regex


def _inline(pattern: str, sensitive: bool) -> str:
    return f"(?{'m' if sensitive else 'im'}:{pattern})"
