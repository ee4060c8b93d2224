"""The catalogue: the rules that come with ajrd, changed and extended by the site's own.

A site rule with the id of an earlier one replaces it whole; ``disable`` takes rules out. Folders
are read in the order given, files in the order of their names. Either the whole catalogue is
right or none of it is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ajrd.detect.rule import AnyRule, ProgressRule, Rule
from ajrd.detect.rulecache import read_files
from ajrd.detect.rulefile import RuleFile
from ajrd.errors import ConfigError

#: The rules that ship with ajrd.
BUILTIN = Path(__file__).resolve().parent.parent / "rules"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Rules by id, in the order of their definition."""

    rules: tuple[Rule, ...]
    progress: tuple[ProgressRule, ...]
    common_facts: tuple[str, ...] = ()
    common_exclusions: tuple[str, ...] = ()

    @classmethod
    def load(
        cls,
        extra: Sequence[str | Path] = (),
        builtin: Path = BUILTIN,
        cache: Path | None = None,
    ) -> Catalogue:
        """Reads ``builtin``, then the folders ``extra``; raises ConfigError.

        ``cache`` is the folder for what was read and proved, by default the user's own.
        """
        return merge(read_folder(Path(folder), cache) for folder in (builtin, *extra))

    @property
    def every(self) -> tuple[AnyRule, ...]:
        """All rules, those of progress last."""
        return *self.rules, *self.progress

    @property
    def digest(self) -> str:
        """A name for exactly this catalogue, whatever files it came from."""
        content = [_content(rule) for rule in self.every]
        return hashlib.sha256(
            repr((content, self.common_facts, self.common_exclusions)).encode()
        ).hexdigest()


def read_folder(folder: Path, cache: Path | None = None) -> list[RuleFile]:
    """The rule files of one folder; an id defined twice in it is an error."""
    try:
        paths = sorted(p for p in folder.iterdir() if p.suffix in (".yaml", ".yml"))
        files = read_files(paths, cache)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the rules in {folder}: {error}") from None
    _refuse_twins(rule for file in files for rule in file.defined)
    return files


def merge(folders: Iterable[Sequence[RuleFile]]) -> Catalogue:
    """Lays folder over folder."""
    rules: dict[str, AnyRule] = {}
    facts: dict[str, None] = {}
    exclusions: dict[str, None] = {}
    for files in folders:
        for file in files:
            rules.update({rule.id: rule for rule in file.defined})
            facts.update(dict.fromkeys(file.common_facts))
            exclusions.update(dict.fromkeys(file.common_exclusions))
        for unwanted in (unwanted for file in files for unwanted in file.disable):
            if rules.pop(unwanted.id, None) is None:
                raise ConfigError(f"{unwanted.where}: there is no rule {unwanted.id!r} to disable")
    return Catalogue(
        tuple(rule for rule in rules.values() if isinstance(rule, Rule)),
        tuple(rule for rule in rules.values() if isinstance(rule, ProgressRule)),
        tuple(facts),
        tuple(exclusions),
    )


def _refuse_twins(rules: Iterable[AnyRule]) -> None:
    seen: dict[str, str] = {}
    for rule in rules:
        if rule.id in seen:
            raise ConfigError(f"{rule.where}: rule {rule.id}: defined before, in {seen[rule.id]}")
        seen[rule.id] = rule.where


def _content(rule: AnyRule) -> tuple[object, ...]:
    return tuple(getattr(rule, name) for name in rule.__slots__ if name != "where")
