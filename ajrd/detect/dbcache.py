"""hyperscan's databases: compiling takes tens of milliseconds, so they are kept on disk.

A database is code to hyperscan: see :mod:`ajrd.detect.kept` for what is trusted.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ajrd.detect.kept import default_folder, keep, recall

try:
    import hyperscan

    AVAILABLE = True
    #: Raised by a scan whose handler said that it is enough.
    STOPPED: type[Exception] = hyperscan.ScanTerminated
except ImportError:  # no wheel for this machine: RE2 does the work alone
    AVAILABLE = False
    STOPPED = RuntimeError

#: Changes when the flags or the layout of the file change.
_FORMAT = b"ajrd-hyperscan-3\n"


@dataclass(frozen=True, slots=True)
class Expression:
    """A pattern for hyperscan; ``once``: one report for a block is enough."""

    pattern: str
    sensitive: bool
    once: bool = False

    @property
    def flags(self) -> int:
        """``^`` and ``$`` are the ends of lines."""
        flags: int = hyperscan.HS_FLAG_MULTILINE
        flags |= hyperscan.HS_FLAG_SINGLEMATCH if self.once else 0
        return flags if self.sensitive else flags | hyperscan.HS_FLAG_CASELESS


class RefusedError(ValueError):
    """hyperscan cannot compile an expression."""


def database(expressions: Sequence[Expression], cache: Path | None = None) -> Any:
    """A database for the expressions, numbered by their places; raises RefusedError."""
    path = (cache or default_folder()) / f"{_key(expressions)}.hsdb"
    kept = _load(path)
    if kept is not None:
        return kept
    compiled = _compile(expressions)
    keep(path, hyperscan.dumpb(compiled))
    return compiled


def scratch(compiled: Any) -> object:
    """Working memory for one thread."""
    return hyperscan.Scratch(compiled)


def refusal(expression: Expression) -> str:
    """Why hyperscan refuses an expression; "" if it does not."""
    try:
        _compile([expression])
    except RefusedError as error:
        return str(error)
    return ""


def _compile(expressions: Sequence[Expression]) -> Any:
    compiled = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    try:
        compiled.compile(
            expressions=[e.pattern.encode("ascii") for e in expressions],
            ids=list(range(len(expressions))),
            elements=len(expressions),
            flags=[e.flags for e in expressions],
        )
    except hyperscan.error as error:
        raise RefusedError(str(error)) from None
    return compiled


def _key(expressions: Sequence[Expression]) -> str:
    made_by = (getattr(hyperscan, "__version__", ""), platform.machine())
    content = repr((made_by, [(e.pattern, e.flags) for e in expressions]))
    return hashlib.sha256(_FORMAT + content.encode()).hexdigest()


def _load(path: Path) -> Any | None:
    dump = recall(path)
    if dump is None:
        return None
    try:
        return hyperscan.loadb(dump, hyperscan.HS_MODE_BLOCK)
    except hyperscan.error:  # made on another kind of processor (a shared home)
        return None
