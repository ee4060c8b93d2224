"""What a detector found in one block of a log."""

from __future__ import annotations

from dataclasses import dataclass

from ajrd.model import Finding, Progress


@dataclass(frozen=True, slots=True)
class Findings:
    """``progress`` is the newest progress line of the block, ``lines`` its complete lines."""

    found: tuple[Finding, ...]
    progress: Progress | None
    lines: int
