"""A configuration of the test's own, and what the doctor finds by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ajrd.doctor.check import Check, Finding, begin, examine
from ajrd.doctor.table import CHECKS
from tests.database.conftest import address, store
from tests.loki.conftest import double

__all__ = ["address", "double", "store"]

Examined = Callable[..., Awaitable[dict[str, Finding]]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file with mode 0640 that has all defaults but a store in the test's folder."""
    file = tmp_path / "config.yaml"
    configure(file)
    return file


def configure(file: Path, **sections: dict[str, Any]) -> None:
    """Writes a configuration with these sections."""
    store = {"url": f"sqlite:///{file.parent}/ajrd.sqlite"}
    file.write_text(yaml.safe_dump({"database": store, **sections}))
    file.chmod(0o640)


def named(*names: str) -> tuple[Check[Any], ...]:
    """These checks; a name that there is none of is a mistake of the test."""
    table = {check.name: check for check in CHECKS}
    return tuple(table[name] for name in names)


@pytest.fixture
def examined(config: Path) -> Examined:
    """Carries out the checks that are named, with these sections; what each found."""

    async def examine_it(
        *names: str, log: Path | None = None, **sections: dict[str, Any]
    ) -> dict[str, Finding]:
        configure(config, **sections)
        look = await begin(config, log)
        assert not look.error
        verdicts = await examine(look, named(*names))
        return {each.check.name: each.finding for each in verdicts}

    return examine_it
