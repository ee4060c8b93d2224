"""YAML that people write, as a checked pydantic model: every fault with file, line and key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ajrd.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


class Section(BaseModel):
    """A part of a file: unknown keys are faults, since a misspelt setting must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def validated(text: str, name: str, model: type[M]) -> M:
    """The text as a model; ``name`` stands in messages for the file.

    An empty text, and an empty section, are those of the defaults. Raises ConfigError with every
    fault, a line each.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {_where(error)}") from None
    duplicates = [f"{name}:{line}: {key}: stands twice" for key, line in _duplicates(node)]
    if duplicates:
        raise ConfigError("\n".join(duplicates))
    if value is None:
        return model()
    if not isinstance(value, dict):
        raise ConfigError(f"{name}:1: the file must hold keys and values")
    given = {key: section for key, section in value.items() if section is not None}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ConfigError("\n".join(_complaints(error, node, name))) from None


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)


def _complaints(error: ValidationError, node: yaml.Node | None, name: str) -> Iterator[str]:
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        line = _line_of(node, fault["loc"])
        said = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"]
        said = said.removeprefix("Value error, ")
        yield f"{name}:{line}: {key}: {said}" if key else f"{name}: {said}"


def _line_of(node: yaml.Node | None, loc: Sequence[int | str]) -> int:
    line = 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v) for k, v in node.value if k.value == str(part)]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _duplicates(node: Any, path: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicates(item, path)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        full = f"{path}{key.value}"
        if full in seen:
            yield full, key.start_mark.line + 1
        seen.add(full)
        yield from _duplicates(value, f"{full}.")
