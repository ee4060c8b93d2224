"""Every key of the configuration, and of the answers to ``ajrd setup``, as the code has them.

``python -m ajrd.cli.reference >docs/configuration.md`` and ``python -m ajrd.cli.reference answers
>docs/answers.md`` bring the documentation up to date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import click
from pydantic import BaseModel

from ajrd.config import Config
from ajrd.setup.answers import Answers

_HEAD = """\
# Configuration

Made from `ajrd/config.py` by `python -m ajrd.cli.reference`.

One file in YAML: the one that `--config` names, else `$AJRD_CONFIG`, else `/etc/ajrd/config.yaml`.
Every key may be left out, and so may the whole file's content;
[etc/ajrd/config.yaml](../etc/ajrd/config.yaml) is an example with all of them. Unknown keys are
errors, because a misspelt safety setting must not be ignored.

    ajrd config check             # is it right? names file, line and key of every fault
    ajrd config check --show      # every setting that is in force, defaults included

The service takes up a changed file by itself, or at a SIGHUP. A file with a fault is refused, what
was in force stays, and the log says why.
Changes in `slurm`, `database`, `logs`, `hooks`, `loki`, `web`, `hardware` and `notify`
wait for a restart; the log says that, too (`restart_needed`).

Passwords and tokens are never in this file. A key ending in `_file` names a file that others must
not be able to read; without it the credential of that name is taken that systemd hands to the
service (`LoadCredential=` in the unit).
"""

_TOGETHER = """
## What must fit together

- `recovery.lease` is at least `slurm.timeout` + 3 s: within a lease there must be time to begin a
  command and to see it end.
- `loki.overlap` is not longer than `loki.late`.
- `loki.auth` names either a user or a token.
- `logs.files` may be off only where `loki.url` is set: otherwise no log would be read.
- A certificate of a client comes with its key.
"""

_ANSWERS = """\
# Answers to `ajrd setup`

Made from `ajrd/setup/answers.py` by `python -m ajrd.cli.reference answers`.

The file of `ajrd setup --answers FILE`, in YAML; [setup.md](setup.md) has an example. Every key may
be left out: an empty file is observe mode, with a SQLite file, on this host alone. Unknown keys are
errors. No secret stands in it: a key ending in `_file` names a file with one, which others must not
be able to read.
"""

_ANSWERS_TOGETHER = """
## What must fit together

- `host.pair` needs `database.kind: mysql`: both head nodes must reach it.
- `recovery.mode: act` needs `slurm.rights`: `accounting`, `slurm-user` or `given`.
- `loki` names either a user or a token.
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its name with the sections before it, and what the table says of it."""

    name: str
    form: str
    default: str
    meaning: str


#: Stands for the default of a key that has none.
_REQUIRED = "\0"


@dataclass(frozen=True, slots=True)
class Section:
    """The keys that stand together; ``name`` is empty for the top of the file."""

    name: str
    meaning: str
    keys: tuple[Key, ...]


def sections(model: type[BaseModel] = Config) -> list[Section]:
    """All sections, each before those in it; the keys at the top of the file come first."""
    schema = model.model_json_schema()
    return list(_sections("", schema, schema["$defs"]))


def _sections(name: str, node: dict[str, Any], known: dict[str, Any]) -> Iterator[Section]:
    keys: list[Key] = []
    inner: list[tuple[str, dict[str, Any]]] = []
    for key, value in node["properties"].items():
        full = f"{name}.{key}" if name else key
        target, item = _named(value, known), _named(value.get("items", {}), known)
        if "properties" in target:
            inner.append((full, target))
        elif "properties" in item:
            inner.append((f"{full}[]", item))
            keys.append(replace(_key(full, {**value, "type": "object"}), form="list of the below"))
        else:
            keys.append(_key(full, {**target, **value, **({"items": item} if item else {})}))
    if keys:
        yield Section(name, node["description"], tuple(keys))
    for full, target in inner:
        yield from _sections(full, target, known)


def _named(node: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """What a reference in the schema means; nothing if it is none."""
    target: dict[str, Any] = known.get(str(node.get("$ref", "")).rpartition("/")[2], {})
    return target


def _key(name: str, node: dict[str, Any]) -> Key:
    kinds = [kind for kind in node.get("anyOf", [node]) if kind.get("type") != "null"]
    default = node.get("default", _REQUIRED)
    shown = {None: "none", _REQUIRED: "must be given"}.get(
        default if isinstance(default, str | None) else "", f"`{_yaml(default)}`"
    )
    return Key(name, " or ".join(map(_form, kinds)), shown, node["description"])


def _yaml(value: object) -> str:
    """A default as one would write it; whole seconds without their fraction."""
    if isinstance(value, str) and value:
        return value
    return json.dumps(int(value) if isinstance(value, float) and value % 1 == 0 else value)


def _form(node: dict[str, Any]) -> str:
    choices = node.get("enum") or re.findall(r"\w+", _choices(node))
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    if node["type"] == "array":
        return f"list of {_form(node['items'])}s"
    name = {
        "string": "text", "boolean": "true or false", "integer": "whole number", "object": "mapping"
    }  # fmt: skip
    return ", ".join([name.get(node["type"], node["type"]), *_limits(node)])


def _choices(node: dict[str, Any]) -> str:
    """The words of a pattern that is nothing but a choice of words."""
    found = re.fullmatch(r"\^\((\w+(?:\|\w+)+)\)\$", node.get("pattern", ""))
    return found[1] if found else ""


def _limits(node: dict[str, Any]) -> Iterator[str]:
    words = {"exclusiveMinimum": "over", "minimum": "at least", "maximum": "at most"}
    yield from (f"{word} {node[key]:,.10g}" for key, word in words.items() if key in node)


def markdown() -> str:
    """``docs/configuration.md``."""
    return "\n".join([_HEAD, *_tables(Config)]) + _TOGETHER


def answers() -> str:
    """``docs/answers.md``."""
    return "\n".join([_ANSWERS, *_tables(Answers)]) + _ANSWERS_TOGETHER


def _tables(model: type[BaseModel]) -> Iterator[str]:
    for section in sections(model):
        yield f"## {f'`{section.name}`' if section.name else 'At the top of the file'}"
        yield ""
        yield section.meaning.replace("``", "`")
        yield from ["", "| key | value | default | meaning |", "|---|---|---|---|"]
        for key in section.keys:
            yield f"| `{key.name}` | {key.form} | {key.default} | {_cell(key.meaning)} |"
        yield ""


def _cell(text: str) -> str:
    """A text in a table: nothing in it is markup but what stands between back quotes."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([|<>*_\[\]])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


if __name__ == "__main__":
    click.echo(answers() if sys.argv[1:] == ["answers"] else markdown(), nl=False)
