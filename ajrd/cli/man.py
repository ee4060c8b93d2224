"""``ajrd man [DIR]``: manual pages in roff, from the same text as --help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from ajrd import __version__
from ajrd.cli.manual import EXIT_CODES, Page, pages

SECTION = 1


@click.command()
@click.argument(
    "folder",
    metavar="[DIR]",
    type=click.Path(file_okay=False, path_type=Path),
    required=False,
)
def man(folder: Path | None) -> None:
    """Write a manual page for each command into DIR.

    Without DIR the page ajrd(1) is printed: ajrd man | man -l -
    """
    every = pages()
    if folder is None:
        click.echo(roff(every[0], every), nl=False)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for page in every:
        (folder / f"{page.name}.{SECTION}").write_text(roff(page, every), encoding="utf-8")


def roff(page: Page, every: list[Page]) -> str:
    """One page; ``every`` are those that it may refer to."""
    return "\n".join([*_roff(page, every), ""])


def _roff(page: Page, every: list[Page]) -> Iterator[str]:
    yield f'.TH "{_plain(page.name.upper())}" {SECTION} "" "ajrd {_plain(__version__)}" "ajrd"'
    yield ".SH NAME"
    yield f"{_text(page.name)} \\- {_text(page.summary)}"
    yield ".SH SYNOPSIS"
    yield f".B {_text(page.synopsis)}"
    yield ".SH DESCRIPTION"
    for number, paragraph in enumerate(page.paragraphs):
        yield from [".PP"] if number else []
        yield _text(paragraph)
    yield from _items("OPTIONS", page.options)
    yield from _items("COMMANDS", page.commands)
    yield from _items("EXIT STATUS", [(str(code), text) for code, text in EXIT_CODES])
    yield ".SH SEE ALSO"
    others = [each.name for each in every if _related(each, page)]
    for name in others:
        yield f".BR {_text(name)} ({SECTION}){'' if name == others[-1] else ' ,'}"


def _related(other: Page, page: Page) -> bool:
    """The commands in a group, and the group that a command is in."""
    longer, shorter = sorted((other.words, page.words), key=len, reverse=True)
    return longer[: len(shorter)] == shorter and len(longer) == len(shorter) + 1


def _items(title: str, items: Sequence[tuple[str, str]]) -> Iterator[str]:
    if items:
        yield f".SH {title}"
    for name, text in items:
        yield ".TP"
        yield f".B {_text(name)}"
        yield _text(text)


def _text(text: str) -> str:
    """A line of text in which nothing is a request or an escape of roff."""
    plain = _plain(text)
    return f"\\&{plain}" if plain[:1] in (".", "'") else plain


def _plain(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in escaped)
