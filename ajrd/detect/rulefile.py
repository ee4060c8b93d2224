"""One YAML file of rules, read and checked: every complaint names file, line, rule and key.

A file has up to five keys: ``rules`` and ``progress`` (lists), ``common_facts`` (patterns whose
named groups are read from every line found), ``common_exclusions`` (patterns of lines of which no
rule speaks), ``disable`` (ids of rules defined before it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ajrd.detect.compiled import CompiledRule
from ajrd.detect.pattern import PatternError, check
from ajrd.detect.rule import AnyRule, ProgressRule, Rule
from ajrd.detect.yamlnode import Place, compose
from ajrd.model import Kind, Recovery, Role

_ID = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_CAUSE = re.compile(r"[a-z][a-z0-9_]*")
_TOP = ("rules", "progress", "common_facts", "common_exclusions", "disable")
_SHARED = ("id", "case", "safety", "source", "examples", "near_misses")
_RULE = (*_SHARED, "kind", "cause", "role", "recovery", "patterns", "exclusions", "facts")
_RULE_NEEDS = ("id", "kind", "cause", "role", "recovery", "patterns")
_PROGRESS = (*_SHARED, "pattern")


@dataclass(frozen=True, slots=True)
class Disabled:
    """The id of a rule that is not wanted; ``where`` is for later complaints."""

    id: str
    where: str


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What one file defines."""

    rules: tuple[Rule, ...] = ()
    progress: tuple[ProgressRule, ...] = ()
    common_facts: tuple[str, ...] = ()
    common_exclusions: tuple[str, ...] = ()
    disable: tuple[Disabled, ...] = ()

    @property
    def defined(self) -> tuple[AnyRule, ...]:
        """All rules of the file."""
        return *self.rules, *self.progress


def parse(text: str, name: str) -> RuleFile:
    """Reads a file; raises :class:`~ajrd.errors.ConfigError` at its first fault."""
    root = compose(text, name)
    top = root.fields(_TOP) if root else {}
    return RuleFile(
        rules=tuple(_rule(place) for place in _items(top, "rules")),
        progress=tuple(_progress(place) for place in _items(top, "progress")),
        common_facts=_patterns(top, "common_facts", False, re2_only=True),
        common_exclusions=_patterns(top, "common_exclusions", False, re2_only=True),
        disable=tuple(_disabled(place) for place in _items(top, "disable")),
    )


def _disabled(place: Place) -> Disabled:
    return Disabled(place.text(), f"{place.where}: {place.path}")


def _items(fields: dict[str, Place], key: str) -> Iterable[Place]:
    return fields[key].items() if key in fields else ()


def _rule(place: Place) -> Rule:
    fields, rule_id = _named(place, _RULE, _RULE_NEEDS)
    sensitive = _sensitive(fields)
    rule = Rule(
        id=rule_id,
        kind=fields["kind"].one_of(Kind),
        cause=_matching(fields["cause"], _CAUSE, "lower-case letters, digits and _"),
        role=fields["role"].one_of(Role),
        recovery=fields["recovery"].one_of(Recovery),
        patterns=_patterns(fields, "patterns", sensitive),
        exclusions=_patterns(fields, "exclusions", sensitive, re2_only=True),
        facts=_patterns(fields, "facts", sensitive, re2_only=True),
        sensitive=sensitive,
        safety=_text(fields, "safety"),
        source=_text(fields, "source"),
        examples=_texts(fields, "examples"),
        near_misses=_texts(fields, "near_misses"),
        where=place.where,
    )
    if not rule.patterns:
        raise fields["patterns"].fault("must not be empty")
    _prove(fields, rule)
    return rule


def _progress(place: Place) -> ProgressRule:
    fields, rule_id = _named(place, _PROGRESS, ("id", "pattern"))
    sensitive = _sensitive(fields)
    rule = ProgressRule(
        id=rule_id,
        pattern=_pattern(fields["pattern"], sensitive),
        sensitive=sensitive,
        safety=_text(fields, "safety"),
        source=_text(fields, "source"),
        examples=_texts(fields, "examples"),
        near_misses=_texts(fields, "near_misses"),
        where=place.where,
    )
    _prove(fields, as_rule(rule))
    return rule


def as_rule(progress: ProgressRule) -> Rule:
    """A progress rule in the shape of a rule, so that both are proved in the same way."""
    return Rule(
        id=progress.id,
        kind=Kind.USER,
        cause="progress",
        role=Role.BENIGN,
        recovery=Recovery.NONE,
        patterns=(progress.pattern,),
        sensitive=progress.sensitive,
    )


def _named(
    place: Place, allowed: tuple[str, ...], needed: tuple[str, ...]
) -> tuple[dict[str, Place], str]:
    """The fields of a rule with its id, which then stands in every complaint about them."""
    name = f"rule {place.peek('id') or '?'}"
    fields = place.fields(allowed, name=name)
    for key in needed:
        if key not in fields:
            raise replace(place, path=name).fault(f"the rule has no {key}")
    return fields, _matching(fields["id"], _ID, "lower-case words joined by . - or _")


def _prove(fields: dict[str, Place], rule: Rule) -> None:
    """The examples must match and the near misses must not, or the rule is not what it says."""
    compiled = CompiledRule(rule)
    for key, wanted in (("examples", True), ("near_misses", False)):
        for place in _items(fields, key):
            if "\n" in place.text():
                raise place.fault("must be one line")
            if (compiled.hit(place.text().encode()) is not None) is not wanted:
                raise place.fault("does not match the rule" if wanted else "matches the rule")


def _sensitive(fields: dict[str, Place]) -> bool:
    if "case" not in fields:
        return False
    if (said := fields["case"].text()) not in ("sensitive", "insensitive"):
        raise fields["case"].fault(f"{said!r} is neither sensitive nor insensitive")
    return said == "sensitive"


def _patterns(
    fields: dict[str, Place], key: str, sensitive: bool, *, re2_only: bool = False
) -> tuple[str, ...]:
    return tuple(_pattern(p, sensitive, re2_only=re2_only) for p in _items(fields, key))


def _pattern(place: Place, sensitive: bool, *, re2_only: bool = False) -> str:
    pattern = place.text()
    try:
        check(pattern, sensitive=sensitive, re2_only=re2_only)
    except PatternError as error:
        raise place.fault(f"not a usable pattern: {error}") from None
    return pattern


def _matching(place: Place, form: re.Pattern[str], described: str) -> str:
    if not form.fullmatch(place.text()):
        raise place.fault(f"{place.text()!r} is not made of {described}")
    return place.text()


def _text(fields: dict[str, Place], key: str) -> str:
    return fields[key].text() if key in fields else ""


def _texts(fields: dict[str, Place], key: str) -> tuple[str, ...]:
    return tuple(place.text() for place in _items(fields, key))
