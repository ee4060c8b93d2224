"""Keeps secrets, and names of people, out of what leaves the house.

Secrets are known (what stands in the configured files), guessed (what a configuration calls a
password or token), or recognised by their form. Names are those of the store, of the configuration
and of whoever asks.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

SECRET, NAME = "[secret]", "[user]"
#: Accounts of services: they are nobody's name.
NOBODYS = frozenset({"", "ajrd", "root", "slurm", "nobody", "munge", "mysql"})
_INLINE = re.compile(r"(?i)(?:password|passwd|secret|token|api_?key)[\"']?\s*:\s*(\S[^\n]*)")
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s@'\"<>]*@")
#: A word that says that a secret follows; credentials; keys in PEM form.
_FORMS = (
    re.compile(
        r"(?i)((?:password|passwd|secret|token|api[_-]?key)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;}]+"
    ),
    re.compile(r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{6,}"),
    re.compile(r"()MUNGE:[A-Za-z0-9+/=]+:?"),
    re.compile(r"()-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL),
    re.compile(r"(?i)(IDENTIFIED BY (?:PASSWORD )?)'[^']*'"),
)
_HOME = re.compile(r"(/home/)[^/\s'\"]+")
#: Shorter ones are hidden only where they stand alone: else they would tear words apart.
_SHORT = 6


class Redactor:
    """Applied to every text. ``names`` None: names may stay."""

    def __init__(self, secrets: Iterable[str], names: Iterable[str] | None) -> None:
        forms = {form for secret in secrets if secret for form in _disguises(secret)}
        self._secrets = _any_of(forms, alone=False)
        self._keeps_names = names is None
        self._names = _any_of(set(names or ()) - NOBODYS, alone=True)

    def __call__(self, text: str) -> str:
        """The text without any of them."""
        text = self._secrets.sub(SECRET, text)
        text = _USERINFO.sub(rf"\1{SECRET}@", text)
        for form in _FORMS:
            text = form.sub(rf"\1{SECRET}", text)
        if self._keeps_names:
            return text
        return self._names.sub(NAME, _HOME.sub(rf"\1{NAME}", text))

    def document(self, value: Any) -> Any:
        """A document with all its texts so; what is called a secret is one."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {self(str(key)): self.document(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.document(each) for each in value]
        return value


def _disguises(secret: str) -> set[str]:
    """As it is, in a URL, in JSON, and in the header of basic authentication."""
    plain = secret.encode("utf-8", "surrogateescape")
    return {
        secret,
        quote(plain, safe=""),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        base64.b64encode(plain).decode().rstrip("="),
    }


def _any_of(words: set[str], *, alone: bool) -> re.Pattern[str]:
    """Matches any of them, the longest first; nothing if there are none."""
    parts = []
    for word in sorted(words, key=lambda each: (-len(each), each)):
        bound = alone or len(word) < _SHORT
        parts.append(rf"(?<!\w){re.escape(word)}(?!\w)" if bound else re.escape(word))
    return re.compile("|".join(parts) or r"(?!)")


def guessed(configuration: str) -> set[str]:
    """What a file of configuration, right or wrong, seems to hold of secrets."""
    found = set()
    for rest in _INLINE.findall(configuration):
        for end in ("\n", " #", ",", "}"):
            found.add(rest.partition(end)[0].strip("\"'{}, \t"))
    for url in re.findall(r"://([^\s@'\"]*)@", configuration):
        found.add(url.partition(":")[2])
    return {each for each in found if each}
