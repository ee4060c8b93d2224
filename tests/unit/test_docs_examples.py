"""What the documentation shows of commands is what they say."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from ajrd.cli.main import cli

DOCS = Path(__file__).parents[2] / "docs"
RULES = (DOCS / "rules.md").read_text()
LINE = "SOLVER: residual nan after 1200 iterations"


def said(*argv: str) -> str:
    return CliRunner().invoke(cli, argv).output


def shown(text: str) -> str:
    """A page without its margins, so that an output is found wherever it is indented."""
    return "\n".join(line.strip() for line in text.splitlines())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of rules with the file that docs/rules.md tells to write."""
    block = re.search(r"```yaml\n(.*?)```", RULES, re.DOTALL)
    assert block is not None
    folder = tmp_path / "rules.d"
    folder.mkdir()
    (folder / "solver.yaml").write_text(textwrap.dedent("   " + block[1].lstrip()))
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_rule_of_the_example_is_right_and_the_page_says_so(site: Path) -> None:
    assert shown(said("rules", "check", str(site))) in shown(RULES)


def test_the_example_finds_its_line(site: Path) -> None:
    assert shown(said("rules", "test", "--rules", str(site), LINE)) in shown(RULES)


def test_the_log_of_the_example_is_judged_as_the_page_shows(site: Path) -> None:
    Path("old.log").write_text(f"SOLVER: cycle 1 done\nSOLVER: cycle 2 done\n{LINE}\n")
    assert shown(said("scan", "--rules", str(site), "old.log")) in shown(RULES)


def test_a_rule_that_says_too_much_is_refused_with_the_words_of_the_page(site: Path) -> None:
    file = site / "solver.yaml"
    file.write_text(file.read_text().replace("(?:nan|inf)", ".*"))
    done = CliRunner().invoke(cli, ["rules", "check", str(site)])
    told = str(done.exception).replace(str(site), "/etc/ajrd/rules.d")
    assert f"ajrd: {told}" in RULES


def test_the_quick_start_knows_the_catalogue_and_its_size(tmp_path: Path) -> None:
    assert said("rules", "check", str(tmp_path)) in shown((DOCS / "quickstart.md").read_text())
