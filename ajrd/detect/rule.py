"""A rule: how one form of trouble looks in a log, and what it means.

Rules come from YAML (see ``ajrd/rules/`` and :mod:`ajrd.detect.rulefile`). A rule speaks of a
line if one of its patterns matches it and none of its exclusions does.
"""

from __future__ import annotations

from dataclasses import dataclass

from ajrd.model import Kind, Recovery, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """``patterns`` find the line, ``exclusions`` veto it, named groups of ``facts`` read it.

    ``safety`` is the constraint that keeps the rule silent on healthy logs, ``source`` the
    software that prints the form. ``examples`` must match, ``near_misses`` must not.
    ``where`` is the file and line of the definition.
    """

    id: str
    kind: Kind
    cause: str
    role: Role
    recovery: Recovery
    patterns: tuple[str, ...]
    exclusions: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    sensitive: bool = False
    safety: str = ""
    source: str = ""
    examples: tuple[str, ...] = ()
    near_misses: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressRule:
    """A line that only a working program prints; the group ``step`` is its count, if any."""

    id: str
    pattern: str
    sensitive: bool = False
    safety: str = ""
    source: str = ""
    examples: tuple[str, ...] = ()
    near_misses: tuple[str, ...] = ()
    where: str = ""


AnyRule = Rule | ProgressRule
