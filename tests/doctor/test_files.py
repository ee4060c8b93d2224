"""Who may read and write the configuration and the files of secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ajrd.config import Config
from ajrd.doctor import tools
from ajrd.doctor.check import Level
from ajrd.doctor.files import Node, Readable, judge_readable, judge_secrets
from ajrd.doctor.tools import Account
from tests.doctor.conftest import Examined

ADA = Account(1000, "ada", frozenset({1000, 50}), "by ajrd.service")
ROOT = Account(0, "root", frozenset({0}), "as whoever asks")
WEBHOOK = {"name": "a", "url": "http://127.0.0.1:9/"}
OPEN_FOLDER = Node("/etc/ajrd", 0o40755)


@pytest.mark.parametrize(
    ("mode", "level", "words", "mend"),
    [
        (0o640, Level.OK, "0640", ""),
        (0o600, Level.OK, "0600", ""),
        (0o644, Level.WARN, "0644, not 0640", "chmod 0640 "),
        (0o660, Level.WARN, "0660, not 0640", "chmod 0640 "),
        (0o646, Level.FAIL, "everybody may change it", "chmod 0640 "),
    ],
)
async def test_the_mode_of_the_configuration(
    examined: Examined, config: Path, monkeypatch: pytest.MonkeyPatch,
    mode: int, level: Level, words: str, mend: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(Path, "chmod", lambda file, _mode: os.chmod(file, mode))
    found = (await examined("config-mode"))["config-mode"]
    assert (found.level, words in found.found) == (level, True)
    assert found.mend == (f"{mend}{config}" if mend else "")


@pytest.mark.parametrize(
    ("file", "level", "words"),
    [
        (Node("/etc/ajrd/p", 0o100640, 0, 50), Level.OK, "may read /etc/ajrd/p"),
        (Node("/etc/ajrd/p", 0o100400, 1000, 0), Level.OK, "may read"),
        (Node("/etc/ajrd/p", 0o100600, 0, 0), Level.FAIL, "ada (by ajrd.service) cannot read"),
        (Node("/etc/ajrd/p", 0o100640, 1000, 0), Level.OK, "may read"),
        (Node("/etc/ajrd/p", 0o100070, 1000, 50), Level.FAIL, "cannot read"),
        (Node("/etc/ajrd/p", error="No such file"), Level.FAIL, "/etc/ajrd/p: No such file"),
        (Node("/etc/ajrd/p", 0o100644, 0, 50), Level.FAIL, "everybody may read"),
        (Node("/etc/ajrd/p", 0o100601, 0, 50), Level.FAIL, "everybody may read"),
    ],
)
def test_a_secret_is_for_the_service_and_not_for_everybody(
    file: Node, level: Level, words: str
) -> None:
    found = judge_secrets(Readable(ADA, ((file, OPEN_FOLDER),)), Config())
    assert (found.level, words in found.found) == (level, True), found
    assert bool(found.mend) is (level is Level.FAIL)


def test_a_folder_on_the_way_that_is_closed_is_named() -> None:
    way = (Node("/a b/p", 0o100640, 0, 50), Node("/a b", 0o40700), Node("/", 0o40755))
    found = judge_readable(Readable(ADA, (way,)), Config())
    assert found.found == "ada (by ajrd.service) cannot enter /a b"
    assert found.mend == "chmod o+x '/a b'"
    assert judge_readable(Readable(ROOT, (way,)), Config()).level is Level.OK


async def test_every_file_with_a_secret_is_looked_at(examined: Examined, tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    for section in (
        {"database": {"password_file": missing}},
        {"database": {"tls": {"ca": "/c", "cert": "/c", "key": missing}}},
        {"loki": {"auth": {"user": "u", "password_file": missing}}},
        {"loki": {"auth": {"token_file": missing}}},
        {"loki": {"tls": {"ca": "/c", "cert": "/c", "key": missing}}},
        {"hardware": {"api": {"token_file": missing}}},
        {"hardware": {"api": {"tls": {"ca": "/c", "cert": "/c", "key": missing}}}},
        {"notify": {"webhooks": [WEBHOOK, {**WEBHOOK, "name": "b", "secret_file": missing}]}},
        {"notify": {"webhooks": [{**WEBHOOK, "tls": {"ca": "/c", "cert": "/c", "key": missing}}]}},
    ):
        found = (await examined("secrets", **section))["secrets"]
        assert (found.level, missing in found.found) == (Level.FAIL, True)


async def test_a_broken_rule_of_the_site_is_named(examined: Examined, tmp_path: Path) -> None:
    found = (await examined("rules"))["rules"]
    assert found.level is Level.OK
    (tmp_path / "rules.d").mkdir()
    (tmp_path / "rules.d" / "bad.yaml").write_text("rules:\n  - {id: site.bad, kind: NOISE}\n")
    found = (await examined("rules", rules_dirs=[str(tmp_path / "rules.d")]))["rules"]
    assert (found.level, found.mend) == (Level.FAIL, "ajrd rules check")
    assert "bad.yaml:2: rule site.bad" in found.found


def test_who_the_service_runs_as_is_read_from_its_unit() -> None:
    unit = tools.parse_unit("LoadState=loaded\nActiveState=active\nUser=ajrd\n")
    assert (unit.loaded, unit.active, unit.user) == (True, "active", "ajrd")
    assert not tools.parse_unit("LoadState=not-found\nActiveState=inactive\n").loaded
