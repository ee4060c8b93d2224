"""What the documentation points at is there: files, headings, commands and their options."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ajrd.cli.manual import Page, pages
from ajrd.model import Directive
from ajrd.policy.directive import _KNOWN, Limits, parse_directive

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Where a reader begins.
STARTS = (ROOT / "README.md", ROOT / "docs/architecture.md")
LINK = re.compile(r"\]\(([^)\s]+)\)")
#: What follows ajrd where it is the subject of a sentence of the demo's, not a command.
PROSE = ("runs",)
#: What every command says of itself, by its words.
COMMANDS = {page.words: page for page in pages()}
#: Options of every command.
OF_ALL = {"-h", "--help", "--version"}
#: Where the words of a command end: the next command, a redirection, a comment.
END = re.compile(r"\s(?:[|;&>]|>>|\d?>|#)|[;&]|$")
#: What stands for a word and is none: ``[OPTIONS]``, ``JOBID``, an ellipsis.
PLACEHOLDER = re.compile(r"\[|[A-Z…]")


def targets(page: Path) -> Iterator[str]:
    """The links of a page that do not leave this tree."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    yield from (target for target in LINK.findall(text) if "://" not in target)


def headings(page: Path) -> set[str]:
    """The anchors of a page: its headings in lower case, with - between the words."""
    words = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", word.lower()).replace(" ", "-") for word in words}


def mentioned(page: Path) -> set[Path]:
    """The other pages that a page sends its reader to, by a link or by their name."""
    linked = {(page.parent / target.partition("#")[0]).resolve() for target in targets(page)}
    return linked | {ROOT / name for name in re.findall(r"docs/[\w-]+\.md", page.read_text())}


def commands(page: Path) -> Iterator[list[str]]:
    """The words after ``ajrd``, wherever one is shown in code: in a line, a block, a table."""
    text = page.read_text().replace("\\|", "|")
    spans = re.findall(r"(?<!`)`(ajrd [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = re.findall(r"^\s*(?:\$ |# )?(?:sudo )?(ajrd [a-z].*)$", _blocks(text), re.M)
    for told in (*spans, *lines):
        joined = " ".join(told.split())
        end = END.search(joined)
        assert end is not None
        words = joined[: end.start()].split()[1:]
        if words[:1] not in [[word] for word in PROSE]:
            yield words


def _blocks(text: str) -> str:
    """The lines that stand in code: indented by four, or fenced."""
    fenced = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    return "\n".join([*re.findall(r"^    .*$", text, re.M), *fenced])


def faults(words: list[str], group: tuple[str, ...] = ("ajrd",)) -> Iterator[str]:
    """What of a command does not exist; ``pause|resume`` are several of them."""
    page = COMMANDS[group]
    if not page.commands or not words or words[0].startswith("-") or PLACEHOLDER.match(words[0]):
        yield from unknown_options(words, page)
        return
    for word in words[0].split("|"):
        if (*group, word) in COMMANDS:
            yield from faults(words[1:], (*group, word))
        else:
            yield f"{' '.join(group)} has no command {word}"


def unknown_options(words: list[str], page: Page) -> Iterator[str]:
    """The options among the words that a command does not have."""
    told = " ".join(name for name, _ in page.options)
    known = OF_ALL | set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", told))
    for word in words:
        option = re.match(r"\[?(--?[a-z][\w-]*)", word)
        if option and option[1] not in known:
            yield f"{' '.join(page.words)} has no option {option[1]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for target in targets(page):
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        assert not anchor or anchor in headings(file), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists_with_its_options(page: Path) -> None:
    found = {" ".join(words): list(faults(words)) for words in commands(page)}
    assert {words: told for words, told in found.items() if told} == {}


def test_every_page_can_be_found_from_where_a_reader_begins() -> None:
    seen: set[Path] = set()
    new = set(STARTS)
    while new:
        seen |= new
        new = {to for page in new for to in mentioned(page) if to in PAGES} - seen
    assert [page.name for page in PAGES if page not in seen] == []


def test_a_command_that_is_not_there_would_be_noticed() -> None:
    assert list(faults(["statsu", "7"])) == ["ajrd has no command statsu"]
    assert list(faults(["db", "check|chekc"])) == ["ajrd db has no command chekc"]
    assert list(faults(["list", "--jsno"])) == ["ajrd list has no option --jsno"]
    assert list(faults(["pause|resume|requeue", "JOBID", "--reason", "TEXT"])) == []


def test_every_directive_for_users_is_understood_and_every_key_is_explained() -> None:
    text = (ROOT / "docs/users.md").read_text()
    comments = re.findall(r"[Cc]omment='(\{.*\})'", text)
    for comment in comments:
        read = parse_directive(comment, Limits())
        assert isinstance(read, Directive), comment
        assert read.notes == (), comment
    keys = {key for comment in comments for key in json.loads(comment)["APS"]}
    assert keys == _KNOWN
    assert set(re.findall(r"^### `(\w+)`$", text, re.MULTILINE)) == _KNOWN
