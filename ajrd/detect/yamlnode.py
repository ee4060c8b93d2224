"""YAML with its line numbers: values are read from nodes, so that each complaint has a place."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import yaml

from ajrd.errors import ConfigError

E = TypeVar("E", bound=StrEnum)
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a file. ``path`` names it for people: ``rule crash.abort: role``."""

    file: str
    node: yaml.Node
    path: str = ""

    @property
    def line(self) -> int:
        """The 1-based line on which the value begins."""
        return int(self.node.start_mark.line) + 1

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.file}:{self.line}"

    def fault(self, reason: str) -> ConfigError:
        """A complaint about this value."""
        return ConfigError(f"{self.where}: {f'{self.path}: ' if self.path else ''}{reason}")

    def fields(self, allowed: Collection[str], name: str = "") -> dict[str, Place]:
        """The values of a mapping by key; unknown and repeated keys are refused.

        ``name`` replaces the path of this value in the paths of its fields.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.fault("must be keys and values")
        prefix, fields = name or self.path, {}
        for key, value in self.node.value:
            path = f"{prefix}: {key.value}" if prefix else str(key.value)
            place = Place(self.file, value, path)
            if key.value not in allowed:
                raise Place(self.file, key, path).fault("unknown key")
            if key.value in fields:
                raise Place(self.file, key, path).fault("stands twice")
            fields[key.value] = place
        return fields

    def peek(self, key: str) -> str:
        """The text of a field if there is one, before anything has been checked."""
        pairs = self.node.value if isinstance(self.node, yaml.MappingNode) else ()
        return next((str(v.value) for k, v in pairs if k.value == key), "")

    def items(self) -> Iterator[Place]:
        """The members of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.fault("must be a list")
        for number, node in enumerate(self.node.value, start=1):
            yield Place(self.file, node, f"{self.path} {number}".strip())

    def text(self) -> str:
        """A string that is not empty."""
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.tag.endswith(":str"):
            raise self.fault("must be text (put it in quotes)")
        if not self.node.value.strip():
            raise self.fault("must not be empty")
        return str(self.node.value)

    def one_of(self, values: type[E]) -> E:
        """A member of an enum."""
        try:
            return values(self.text())
        except ValueError:
            raise self.fault(f"must be one of {', '.join(v.value for v in values)}") from None

    def texts(self) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(item.text() for item in self.items())


def compose(text: str, file: str) -> Place | None:
    """The root of a YAML text; None if it is empty. Raises ConfigError if it is not YAML."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{file}:{line}: not YAML: {problem}") from None
    return Place(file, node) if node is not None else None
