"""The commands as they describe themselves: the one text behind --help, man pages and docs.

``python -m ajrd.cli.manual >docs/commands.md`` brings the documentation up to date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import click

from ajrd.cli.main import cli

#: Exit codes of all commands (:mod:`ajrd.cli.main`); those of one are in its own text.
EXIT_CODES = (
    (0, "It was found, done, or right."),
    (1, "What was asked for is not known: a job, an attempt, a rule."),
    (2, "The command was used in a wrong way, or the configuration is wrong."),
    (3, "The service, its database or Slurm cannot be reached, or nobody leads."),
    (4, "The leader has refused what was asked of it."),
    (130, "Ended by Ctrl-C."),
)


@dataclass(frozen=True, slots=True)
class Page:
    """One command: its words (``ajrd db check``), synopsis, paragraphs, options, subcommands."""

    words: tuple[str, ...]
    synopsis: str
    summary: str
    paragraphs: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """Its words as the name of a page: ``ajrd-db-check``."""
        return "-".join(self.words)


def pages() -> list[Page]:
    """All commands, each group before what is in it."""
    return list(_pages(("ajrd",), cli, None))


def _pages(
    words: tuple[str, ...], command: click.Command, parent: click.Context | None
) -> Iterator[Page]:
    ctx = click.Context(command, parent, words[-1], **command.context_settings)
    inner: list[tuple[str, click.Command]] = []
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            if found is not None and not found.hidden:
                inner.append((name, found))
    yield _page(words, command, ctx, inner)
    for name, found in inner:
        yield from _pages((*words, name), found, ctx)


def _page(
    words: tuple[str, ...],
    command: click.Command,
    ctx: click.Context,
    inner: list[tuple[str, click.Command]],
) -> Page:
    told = [_joined(part) for part in re.split(r"\n\s*\n", (command.help or "").strip())]
    pieces = " ".join(command.collect_usage_pieces(ctx))
    records = (param.get_help_record(ctx) for param in command.get_params(ctx))
    options = tuple((record[0], _joined(record[1])) for record in records if record)
    commands = tuple((name, each.get_short_help_str(200)) for name, each in inner)
    synopsis = f"{' '.join(words)} {pieces}"
    return Page(words, synopsis, told[0].rstrip("."), tuple(told), options, commands)


def _joined(text: str) -> str:
    """One paragraph, without the marks that only this source reads."""
    return " ".join(text.replace("``", "").split())


def markdown() -> str:
    """``docs/commands.md``."""
    return "\n".join([*_markdown(), ""])


def _markdown() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "Made from what the commands say of themselves by `python -m ajrd.cli.manual`."
    yield "`ajrd man DIR` writes the same as manual pages, `ajrd completion SHELL` prints the"
    yield "completion of a shell."
    yield ""
    yield "| exit code | meaning |"
    yield "|---|---|"
    yield from (f"| {code} | {text} |" for code, text in EXIT_CODES)
    for page in pages():
        yield from ["", f"{'#' * (len(page.words) + 1)} {' '.join(page.words)}", ""]
        yield from [f"    {page.synopsis}", ""]
        yield "\n\n".join(_escaped(paragraph) for paragraph in page.paragraphs)
        yield from _table("option", page.options)
        yield from _table("command", page.commands)


def _table(title: str, items: tuple[tuple[str, str], ...]) -> Iterator[str]:
    if items:
        yield from ["", f"| {title} | |", "|---|---|"]
    for name, text in items:
        yield f"| `{name.replace('|', chr(92) + '|')}` | {_escaped(text)} |"


def _escaped(text: str) -> str:
    return re.sub(r"([|<>*_`\[\]])", r"\\\1", text)


if __name__ == "__main__":
    click.echo(markdown(), nl=False)
