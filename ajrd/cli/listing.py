"""Lists in the manner of squeue and sacct: the fields that one asks for, as text, CSV or JSON."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from ajrd.cli.fields import Field, Row, Shown, cell
from ajrd.cli.sheet import csv_text
from ajrd.cli.textlist import TextList

F = TypeVar("F", bound=Callable[..., Any])
_WANTED = re.compile(r"([a-z_]+)(?::(\.?)(\d{1,4}))?")


@dataclass(slots=True)
class Output:
    """How a list is printed: at once, or with :meth:`more` rows as they come."""

    fields: Sequence[Field]
    shown: Sequence[Shown]
    chosen: bool
    header: bool
    form: str
    _text: TextList = field(init=False)

    def __post_init__(self) -> None:
        self._text = TextList(self.shown)

    def print(self, rows: Iterable[Row]) -> None:
        """Prints all rows."""
        if self.form == "json":
            click.echo(json.dumps([self._object(row) for row in rows], indent=2))
        else:
            self.more(rows, begin=True)

    def more(self, rows: Iterable[Row], *, begin: bool = False) -> None:
        """Prints further rows; ``begin`` puts the header before the first ones."""
        lines = list(self._lines(list(rows), begin))
        if lines:
            click.echo("\n".join(lines))

    def _lines(self, rows: list[Row], begin: bool) -> Iterable[str]:
        if self.form == "json":
            return [json.dumps(self._object(row)) for row in rows]
        if self.form == "csv":
            return self._csv(rows, begin)
        return self._text.lines(rows, header=begin and self.header)

    def _object(self, row: Row) -> dict[str, object]:
        names = [each.field.name for each in self.shown] if self.chosen else self._names
        return {name: _plain(row.get(name)) for name in names}

    @property
    def _names(self) -> list[str]:
        return [each.name for each in self.fields]

    def _csv(self, rows: list[Row], begin: bool) -> list[str]:
        lines = [[_cell(row.get(each.field.name)) for each in self.shown] for row in rows]
        if begin and self.header:
            lines.insert(0, [each.field.name for each in self.shown])
        return csv_text(lines).splitlines()


def listing(fields: Sequence[Field], default: str) -> Callable[[F], Any]:
    """Gives a command ``-o``, ``-n``, ``--csv`` and ``--json``; it gets an :class:`Output`."""
    known = {each.name: each for each in fields}
    names = ", ".join(known)

    def parse(_ctx: click.Context, _param: click.Parameter, text: str | None) -> list[Shown] | None:
        return None if text is None else [_shown(word, known) for word in text.split(",")]

    def decorate(command: F) -> Any:
        @click.option(
            "-o",
            "--format",
            "wanted",
            metavar="FIELD[:[.]WIDTH],...",
            callback=parse,
            help=f"Fields to print, each with a width if wanted (with a dot: to the right): {names}"
            f"  [default: {default}]",
        )
        @click.option("-n", "--noheader", is_flag=True, help="No header line.")
        @click.option("--csv", "to_csv", is_flag=True, help="Comma-separated values, times in UTC.")
        @click.option("--json", "to_json", is_flag=True, help="One JSON array.")
        @functools.wraps(command)
        def wrapped(
            *args: Any,
            wanted: list[Shown] | None,
            noheader: bool,
            to_csv: bool,
            to_json: bool,
            **options: Any,
        ) -> Any:
            if to_csv and to_json:
                raise click.UsageError("--csv or --json, not both")
            form = "json" if to_json else "csv" if to_csv else "text"
            shown = wanted or [_shown(word, known) for word in default.split(",")]
            out = Output(fields, shown, wanted is not None, not noheader, form)
            return command(*args, out=out, **options)

        return wrapped

    return decorate


def _shown(word: str, known: Mapping[str, Field]) -> Shown:
    asked = _WANTED.fullmatch(word.strip().lower())
    if asked is None or asked[1] not in known:
        raise click.BadParameter(f"{word!r} is no field of: {', '.join(known)}")
    return Shown(known[asked[1]], int(asked[3]) if asked[3] else None, bool(asked[2]))


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case list() | tuple():
            return [_plain(each) for each in value]
    return value


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(_plain(value)) if isinstance(value, datetime) else cell(value)
    return "" if text == "-" else text
