"""The part of requirements.lock that some packages need: what ajrd runs with, or is built with.

``python3 etc/debian/locked.py`` prints what ajrd itself needs, ``locked.py hatchling`` what
hatchling does, both with their hashes. The lock says for each package who needs it (``# via``),
so nothing has to be resolved and nothing is fetched.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def dependencies(pyproject: str) -> list[str]:
    """The names of what ajrd runs with, of no extra."""
    required: list[str] = tomllib.loads(pyproject)["project"]["dependencies"]
    return [name_of(requirement) for requirement in required]


def name_of(requirement: str) -> str:
    """The name at the beginning of a requirement, as an index normalises it."""
    found = _NAME.match(requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def needed(lock: str, names: Iterable[str]) -> str:
    """The entries of a lock for ``names`` and for all that they need; KeyError if one lacks."""
    entries = {name_of(entry): entry for entry in re.split(r"\n(?=\w)", lock.rstrip("\n"))}
    wanted: set[str] = set()
    new = set(names)
    if missing := new - entries.keys():
        raise KeyError(f"not in the lock: {', '.join(sorted(missing))}")
    while new:
        wanted |= new
        new = {name for name, entry in entries.items() if _via(entry) & new} - wanted
    return "".join(f"{entries[name]}\n" for name in entries if name in wanted)


def _via(entry: str) -> set[str]:
    """Who needs the package of an entry."""
    _, _, said = entry.partition("# via")
    return {name_of(word) for word in re.findall(r"[A-Za-z][\w.-]*(?=$|\n)", said)}


def main(names: list[str]) -> None:
    """Prints the entries for ``names``, or for what ajrd runs with."""
    wanted = names or dependencies((ROOT / "pyproject.toml").read_text())
    sys.stdout.write(needed((ROOT / "requirements.lock").read_text(), wanted))


if __name__ == "__main__":
    main(sys.argv[1:])
