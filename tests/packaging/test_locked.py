"""What of the lock goes into a package: all that ajrd runs with, and no tool."""

from __future__ import annotations

import importlib.util
import re
from importlib.metadata import requires
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()


@pytest.fixture(scope="module")
def locked() -> ModuleType:
    """etc/debian/locked.py, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("locked", ROOT / "etc/debian/locked.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(entries: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", entries, re.MULTILINE))


def test_what_each_of_them_needs_is_there_as_well(locked: ModuleType) -> None:
    """The packages say so themselves, where the environment has them."""
    pyproject = (ROOT / "pyproject.toml").read_text()
    found = names(locked.needed(LOCK, locked.dependencies(pyproject)))
    for name in found:
        for line in requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                assert locked.name_of(requirement.name) in found, name
    assert "greenlet" in found, "an extra that ajrd asks for: SQLAlchemy[asyncio]"


def test_no_tool_of_the_tests_is_among_them(locked: ModuleType) -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    found = names(locked.needed(LOCK, locked.dependencies(pyproject)))
    assert found.isdisjoint({"pytest", "playwright", "mypy", "ruff", "hatchling", "schemathesis"})


def test_every_entry_keeps_its_hashes(locked: ModuleType) -> None:
    entries = locked.needed(LOCK, ["hatchling"])
    assert names(entries) >= {"hatchling", "pathspec", "pluggy"}
    for entry in re.split(r"\n(?=\w)", entries):
        assert "--hash=sha256:" in entry


def test_a_package_that_is_not_locked_is_refused(locked: ModuleType) -> None:
    with pytest.raises(KeyError, match="not in the lock: nonsuch"):
        locked.needed(LOCK, ["nonsuch"])
