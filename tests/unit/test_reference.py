"""docs/configuration.md says what the code says, key by key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ajrd import daemon
from ajrd.cli.reference import answers, markdown, sections
from ajrd.config import Config, parse
from ajrd.errors import ConfigError
from ajrd.setup.answers import Answers

ROOT = Path(__file__).parents[2]
KEYS = {key.name: key for section in sections() for key in section.keys}


def settings(value: object, path: str = "") -> set[str]:
    """The dotted names of everything that is no section; a mapping is one key."""
    if not isinstance(value, dict) or path in KEYS:
        return {path}
    inner = (settings(v, f"{path}.{key}" if path else key) for key, v in value.items())
    return set().union(*inner)


def test_the_reference_is_up_to_date() -> None:
    told = (ROOT / "docs/configuration.md").read_text()
    assert told == markdown(), "run: python -m ajrd.cli.reference >docs/configuration.md"


def test_so_is_that_of_the_answers_to_a_setup() -> None:
    told = (ROOT / "docs/answers.md").read_text()
    assert told == answers(), "run: python -m ajrd.cli.reference answers >docs/answers.md"


def test_every_answer_has_words_for_what_it_means() -> None:
    keys = [key for section in sections(Answers) for key in section.keys]
    sections_of = {**Answers().model_dump(mode="json"), "extra": None}
    assert {key.name for key in keys} == settings(sections_of)
    assert [key.name for key in keys if not key.meaning] == []


def test_it_has_every_key_of_the_configuration_and_no_other() -> None:
    alone = {name for name in KEYS if "[]" not in name}
    assert alone == settings(Config().model_dump(mode="json"))


def test_every_key_has_words_for_what_it_means() -> None:
    assert [name for name, key in KEYS.items() if not key.meaning] == []


def test_it_names_the_limits_that_a_value_is_held_to() -> None:
    assert KEYS["recovery.backoff"].form == "number, at least 0, at most 600"
    assert KEYS["slurm.poll"].form == "number, over 0, at most 86,400"
    assert KEYS["logging.level"].form == "`debug`, `info`, `warning`, `error`"
    with pytest.raises(ConfigError, match="less than or equal to 600"):
        parse("recovery: {backoff: 601}", "config.yaml")


def test_a_default_is_what_one_would_write() -> None:
    assert KEYS["recovery.mode"].default == "`observe`"
    assert KEYS["slurm.timeout"].default == "`10`"
    assert KEYS["web.socket"].default == "none"


def test_it_says_which_sections_wait_for_a_restart() -> None:
    *first, last = (f"`{name}`" for name in daemon._FIXED)
    assert f"Changes in {', '.join(first)} and {last}\nwait for a restart" in markdown()


def test_the_example_names_every_key_that_the_reference_has() -> None:
    words = set(re.findall(r"\w+", (ROOT / "etc/ajrd/config.yaml").read_text()))
    assert [name for name in KEYS if name.rpartition(".")[2] not in words] == []
