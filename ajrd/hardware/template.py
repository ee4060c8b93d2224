"""Templates of the site: places like ``{node}`` in JSON and in URLs, filled without code.

What is put in is data, whatever it holds: a template of JSON is filled value by value before it
becomes text, and in a URL every character but letters, digits, ``_`` and ``-`` is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

#: What a template may ask for.
NAMES = frozenset({
    "node", "kind", "cause", "cluster", "job_id", "attempt", "user", "partition", "at", "key",
})  # fmt: skip
#: What only the URL of a verdict may ask for: how the service itself calls the matter.
REFERENCE = "reference"
_PLACE = re.compile(r"\{\{|\}\}|\{(\w*)\}|[{}]")
_UNESCAPED = re.compile(rb"[A-Za-z0-9_-]")

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


def complaint(template: object, names: frozenset[str] = NAMES) -> str:
    """What is wrong with the places in a template; "" if nothing is."""
    for text in _texts(template):
        for found in _PLACE.finditer(text):
            if found[0] not in ("{{", "}}") and found[1] not in names:
                known = ", ".join(sorted(names))
                return f"{found[0]!r} in {text!r} is no place to fill ({known}; write {{{{ for {{)"
    return ""


def url_complaint(template: str, names: frozenset[str] = NAMES) -> str:
    """The same for a URL, in which the host must not depend on what is filled in."""
    parts = urlsplit(template)
    if "{" in parts.netloc or "{" in parts.scheme:
        return "must not have a place to fill in its host"
    return complaint(template, names)


def filled(template: Json, values: Mapping[str, str]) -> Json:
    """The template with its places filled; keys of mappings stay as they are."""
    if isinstance(template, str):
        return _PLACE.sub(lambda found: _value(found, values), template)
    if isinstance(template, list):
        return [filled(each, values) for each in template]
    if isinstance(template, dict):
        return {key: filled(each, values) for key, each in template.items()}
    return template


def filled_url(template: str, values: Mapping[str, str]) -> str:
    """A URL with its places filled."""
    return str(filled(template, {name: _escaped(value) for name, value in values.items()}))


def _value(found: re.Match[str], values: Mapping[str, str]) -> str:
    return found[0][0] if found[0] in ("{{", "}}") else values[found[1]]


def _escaped(value: str) -> str:
    """Dots, too: ``..`` would be another folder."""
    raw = value.encode("utf-8", "replace")
    return "".join(chr(byte) if _UNESCAPED.match(bytes([byte])) else f"%{byte:02X}" for byte in raw)


def _texts(template: object) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, list | tuple):
        for each in template:
            yield from _texts(each)
    elif isinstance(template, dict):
        for each in template.values():
            yield from _texts(each)
