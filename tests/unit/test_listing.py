"""Lists in each form: what one asks for, and text of strangers that does no harm."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from ajrd.cli import paint
from ajrd.cli.fields import Field
from ajrd.cli.listing import Output, listing
from tests.unit.samples import at

FIELDS = (Field("jobid"), Field("name", elastic=True), Field("start"))
Rows = list[dict[str, object]]
ROWS: Rows = [
    {"jobid": "7", "name": "train", "start": at(0)},
    {"jobid": "12345", "name": "", "start": None},
]
HARMFUL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
#: Anything that may stand in a name, and what spreadsheets and terminals take for more than text.
nasty = st.one_of(
    st.text(),
    st.builds(
        str.__add__,
        st.sampled_from(
            ["=", "+", "-", "@", " =", "\t=", "\x1b[2J", "\u202e", "\r\n", "＝", "<b>"]
        ),
        st.text(),
    ),
)


def run(rows: Rows, *argv: str, later: Rows | None = None) -> Result:
    @click.command()
    @listing(FIELDS, "jobid,name,start")
    def show(out: Output) -> None:
        out.print(rows)
        out.more(later or [])

    return CliRunner().invoke(show, argv, env={"TZ": "UTC"})


def test_fields_are_chosen_with_their_widths() -> None:
    said = run(ROWS, "-o", "jobid:.7,name:4").output
    assert said == "  JOBID  NAME\n      7  tra…\n  12345  -\n"


def test_a_header_may_be_left_out() -> None:
    assert run(ROWS, "-n", "-o", "jobid").output == "7\n12345\n"
    assert run(ROWS, "-n", "--csv", "-o", "jobid").output == "7\n12345\n"


def test_csv_has_names_of_fields_and_times_in_utc() -> None:
    said = run(ROWS, "--csv").output
    assert said == "jobid,name,start\n7,train,2026-01-01T12:00:00+00:00\n12345,,\n"


def test_json_has_all_fields_or_those_that_were_chosen() -> None:
    assert json.loads(run(ROWS, "--json").output)[0] == {
        "jobid": "7",
        "name": "train",
        "start": "2026-01-01T12:00:00+00:00",
    }
    assert json.loads(run(ROWS, "--json", "-o", "jobid").output)[1] == {"jobid": "12345"}
    assert run([], "--json").output == "[]\n"


@pytest.mark.parametrize(
    "argv", [("-o", "color"), ("-o", "name:wide"), ("-o", ""), ("--csv", "--json")]
)
def test_what_is_no_format_is_a_usage_error(argv: tuple[str, ...]) -> None:
    assert run(ROWS, *argv).exit_code == 2


def test_rows_that_come_later_stand_under_the_first_ones() -> None:
    lines = run(ROWS, "-o", "jobid,name", later=ROWS).output.splitlines()
    assert lines == ["JOBID  NAME", "7      train", "12345  -", "7      train", "12345  -"]


@given(nasty)
def test_no_text_reaches_the_terminal_but_as_text(text: str) -> None:
    said = run([{"jobid": "7", "name": text, "start": at(0)}]).output
    assert not HARMFUL.search(said)
    assert said.count("\n") == 2


@given(nasty)
def test_no_cell_is_taken_for_a_formula(text: str) -> None:
    said = run([{"jobid": "7", "name": text, "start": at(0)}], "--csv").output
    assert not HARMFUL.search(said)
    [_header, row] = csv.reader(io.StringIO(said))
    assert row[0] == "7"
    harmless = not row[1].lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert harmless or re.fullmatch(r"-?\d+(\.\d+)?", row[1])


@given(nasty)
def test_json_brings_every_text_back(text: str) -> None:
    said = run([{"jobid": "7", "name": text, "start": at(0)}], "--json").output
    assert said.isascii()
    assert json.loads(said)[0]["name"] == text


Dye = Callable[[bool, dict[str, str]], str]


@pytest.fixture
def dyed(monkeypatch: pytest.MonkeyPatch) -> Dye:
    """A cell as it is painted on standard output that is a terminal or not."""

    def dye(terminal: bool, env: dict[str, str]) -> str:
        class Out(io.StringIO):
            def isatty(self) -> bool:
                return terminal

        for name in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.stdout", Out())
        return paint.painter()("FAILED  ")

    return dye


XTERM = {"TERM": "xterm"}


def test_colours_are_for_terminals_whose_user_wants_them(dyed: Dye) -> None:
    assert dyed(True, XTERM) == "\x1b[31mFAILED  \x1b[0m"
    assert dyed(False, XTERM) == "FAILED  "
    assert dyed(True, XTERM | {"NO_COLOR": "1"}) == "FAILED  "
    assert dyed(True, {"TERM": "dumb"}) == "FAILED  "


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is a terminal of 30 columns."""
    monkeypatch.setattr("ajrd.cli.textlist.room", lambda: 30)


def test_a_list_fits_into_a_narrow_terminal(narrow: None) -> None:
    rows: Rows = [{"jobid": "7", "name": "n" * 60, "start": at(0)}]
    lines = run(rows).output.splitlines()
    assert lines == ["JOBID  NAME        START", "7      nnnnnnnnn…  01-01T12:00"]


def test_a_terminal_has_all_of_its_room_for_what_comes_later(narrow: None) -> None:
    short: Rows = [{"jobid": "7", "name": "n"}]
    long: Rows = [{"jobid": "7", "name": "n" * 60}]
    lines = run(short, "-n", "-o", "jobid,name", later=long).output.splitlines()
    assert lines == ["7  n", f"7  {'n' * 26}…"]


def test_nothing_is_cut_where_there_is_no_terminal() -> None:
    short: Rows = [{"jobid": "7", "name": "n"}]
    long: Rows = [{"jobid": "12345", "name": "n" * 60}]
    lines = run(short, "-n", "-o", "name,jobid", later=long).output.splitlines()
    assert lines == ["n  7", f"{'n' * 60}  12345"]
