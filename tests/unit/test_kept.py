"""Where a cache lies: with the service, with a user, and with root until the next boot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ajrd.detect.kept import ROOTS, default_folder


@pytest.mark.parametrize(
    ("user", "variables", "folder"),
    [
        (0, {"CACHE_DIRECTORY": "/var/cache/ajrd"}, "/var/cache/ajrd"),
        (1000, {}, "/home/ada/.cache/ajrd"),
        (1000, {"XDG_CACHE_HOME": "/scratch/ada"}, "/scratch/ada/ajrd"),
        (0, {}, ROOTS),
    ],
)
def test_the_folder_is_whose_the_process_is(
    monkeypatch: pytest.MonkeyPatch, user: int, variables: dict[str, str], folder: str
) -> None:
    for name in ("CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/ada", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert default_folder() == Path(folder)
