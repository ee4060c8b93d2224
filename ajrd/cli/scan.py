"""``ajrd scan``: what broke in a log, by the same rules as the service, offline."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ajrd.cli.inputs import Input, files_of, opened
from ajrd.cli.rulesource import RULES_OPTION, catalogue
from ajrd.cli.scan_report import finding_json, report, verdict_json
from ajrd.detect.engine import Engine, compile_engine
from ajrd.model import Finding
from ajrd.offline import scan_stream
from ajrd.text import printable

#: A file that is scanned in the blink of an eye needs no progress bar, bytes.
_BAR_FROM = 256 * 1024 * 1024


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("-a", "--all", "everything", is_flag=True, help="List every anomaly.")
@RULES_OPTION
def scan(files: tuple[str, ...], as_json: bool, everything: bool, rules: tuple[Path, ...]) -> None:
    """Say what broke in each FILE: a log, a folder of logs, or ``-`` for standard input.

    Files packed by gzip or zstd are unpacked. Exit status 0 if every file was read, whatever was
    found in it; 1 if one could not be read.
    """
    engine = compile_engine(catalogue(rules))
    unread = False
    for name in (each for given in files for each in files_of(given)):
        try:
            if as_json:
                _scan_for_programs(name, engine)
            else:
                _scan_for_people(name, engine, everything=everything)
        except OSError as error:
            click.echo(f"ajrd: cannot read {printable(name)}: {error.strerror or error}", err=True)
            unread = True
    sys.exit(1 if unread else 0)


def _scan_for_programs(name: str, engine: Engine) -> None:
    with opened(name) as source:
        verdict = scan_stream(
            name, source, engine, lambda found: print(finding_json(found)), context=False
        )
    print(verdict_json(name, verdict))


def _scan_for_people(name: str, engine: Engine, *, everything: bool) -> None:
    found: list[Finding] = []
    with opened(name) as source, _with_bar(name, source) as stream:
        verdict = scan_stream(name, stream, engine, found.append)
    for line in report(name, verdict, found, everything=everything):
        click.echo(line)


class _Watched:
    """A stream that moves a progress bar as it is read."""

    def __init__(self, source: Input, moved: Callable[[int], object]) -> None:
        self._source = source
        self._moved = moved

    def read1(self, size: int, /) -> bytes:
        """Up to ``size`` bytes."""
        data = self._source.read1(size)
        self._moved(self._source.read)
        return data


@contextmanager
def _with_bar(name: str, source: Input) -> Iterator[Input | _Watched]:
    """A progress bar on a terminal, for what takes more than a moment."""
    if source.size < _BAR_FROM or not sys.stderr.isatty():
        yield source
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(printable(name), total=source.size)
        yield _Watched(source, lambda read: progress.update(task, completed=read))
