"""Manual pages, documentation and completion are made from what the commands say of themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from ajrd.cli import main
from ajrd.cli.main import cli
from ajrd.cli.man import roff
from ajrd.cli.manual import Page, markdown, pages

DOCS = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_documentation_of_the_commands_is_up_to_date() -> None:
    """In a process of its own: click keeps what earlier tests have made it say of `--help`."""
    made = subprocess.run(
        [sys.executable, "-m", "ajrd.cli.manual"], capture_output=True, text=True, check=True
    )
    assert DOCS.read_text() == made.stdout, "run: python -m ajrd.cli.manual >docs/commands.md"


def test_every_command_and_option_has_words() -> None:
    for page in pages():
        assert page.summary, page.name
        assert all(name for name, _ in page.options), page.name
    names = {" ".join(page.words) for page in pages()}
    assert {f"ajrd {name}" for name in main._COMMANDS} <= names


def test_the_codes_of_the_documentation_are_those_of_the_commands() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", markdown(), re.MULTILINE)}
    assert told == {0, 130, main.UNKNOWN, main.USAGE, main.UNREACHABLE, main.REFUSED}


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_manual_pages_are_clean_and_say_what_the_help_says(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["man", str(tmp_path)])
    assert done.exit_code == 0
    files = sorted(tmp_path.glob("*.1"))
    assert {file.stem for file in files} == {page.name for page in pages()}
    argv = ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", *map(str, files)]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    words = " ".join(shown.stdout.split())
    assert "Requeue a job now, whatever its logs say." in words
    assert "--noheader" in words


def test_nothing_in_a_text_is_taken_for_a_request_of_roff() -> None:
    page = Page(("ajrd", "x"), "ajrd x", ".TH", (".so /etc/passwd", "'\\fB\\n(.k"), (), ())
    lines = roff(page, [page]).splitlines()
    assert "\\&.so /etc/passwd" in lines
    assert "\\&'\\efB\\en(.k" in lines


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(shell: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell])
    assert done.exit_code == 0
    assert "_AJRD_COMPLETE" in done.output


def test_completion_knows_commands_and_options_and_imports_no_command_for_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def complete(args: list[str], incomplete: str) -> list[str]:
        found = BashComplete(cli, {}, "ajrd", "_AJRD_COMPLETE").get_completions(args, incomplete)
        return [item.value for item in found]

    assert complete(["history"], "--s") == ["--since"]
    monkeypatch.setattr("importlib.import_module", None)
    assert complete([], "re") == ["release", "report", "requeue", "resume"]
