"""The configuration: what is accepted, and the words in which a fault is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from ajrd.config import Backend, Config, Mode, load, parse
from ajrd.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "etc" / "ajrd" / "config.yaml"


def test_an_empty_file_is_the_defaults() -> None:
    assert parse("", "c.yaml") == Config()
    assert Config().recovery.mode is Mode.OBSERVE


def test_the_example_shows_the_defaults() -> None:
    assert load(EXAMPLE) == Config()


def test_given_values_are_taken() -> None:
    config = parse(
        "slurm: {backend: cli, poll: 0.5}\nrecovery: {mode: act, partitions: [gpu]}", "c.yaml"
    )
    assert (config.slurm.backend, config.slurm.poll) == (Backend.CLI, 0.5)
    assert (config.recovery.mode, config.recovery.partitions) == (Mode.ACT, ("gpu",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("recovery:\n  mod: act\n", "c.yaml:2: recovery.mod: "),
        ("recovery:\n  mode: fast\n", "c.yaml:2: recovery.mode: "),
        ("slurm:\n  poll: 1\n  timeout: -3\n", "c.yaml:3: slurm.timeout: "),
        ("recovery:\n  settle: soon\n", "c.yaml:2: recovery.settle: "),
        ("database:\n  url: nowhere\n", "c.yaml:2: database.url: "),
        ("slurm:\n  poll: 1\n  poll: 2\n", "c.yaml:3: slurm.poll: stands twice"),
        ("slurm: [\n", "c.yaml: not YAML: line"),
        ("- 1\n", "c.yaml:1: the file must hold keys and values"),
    ],
)
def test_a_fault_is_told_with_file_line_and_key(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml")
    assert words in str(caught.value)


def test_every_fault_of_a_file_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("slurm:\n  poll: no\nrecovery:\n  mode: no\n  settle: -1\n", "c.yaml")
    assert len(str(caught.value).splitlines()) == 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load(tmp_path / "none.yaml")
