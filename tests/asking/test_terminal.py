"""What stands on the terminal: 80 columns, colours, nothing that moves the cursor."""

from __future__ import annotations

import pytest

from ajrd.setup.console import Terminal, Tone


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", "60")
    return 60


def said(capsys: pytest.CaptureFixture[str], text: str, tone: Tone, colours: bool = False) -> str:
    Terminal(colours).tell(text, tone)
    return capsys.readouterr().out


@pytest.mark.parametrize("tone", [Tone.PLAIN, Tone.HEADING, Tone.GOOD, Tone.DOUBT, Tone.FAULT])
def test_long_lines_are_broken_between_words(
    capsys: pytest.CaptureFixture[str], columns: int, tone: Tone
) -> None:
    out = said(capsys, "  " + "two words " * 30, tone)
    assert max(map(len, out.splitlines())) <= columns
    assert out.split().count("two") == 30


def test_a_verdict_stands_before_the_first_line_alone(
    capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    assert said(capsys, "wrong\n-> mend", Tone.FAULT) == "  fail  wrong\n        -> mend\n"


def test_lines_of_a_file_stay_whole(capsys: pytest.CaptureFixture[str], columns: int) -> None:
    assert said(capsys, "    +" + "x " * 90, Tone.ADDED) == "    +" + ("x " * 90).rstrip() + "\n"


def test_colours_are_for_who_wants_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "good", Tone.GOOD, colours=True) == "\x1b[32m  ok    \x1b[0mgood\n"
    assert said(capsys, "Slurm", Tone.HEADING, colours=True) == "\x1b[1mSlurm\x1b[0m\n"
    assert said(capsys, "good", Tone.GOOD) == "  ok    good\n"


def test_what_a_server_says_does_not_reach_the_terminal_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "\x1b" not in said(capsys, "evil\x1b[2J", Tone.FAULT)
