"""``ajrd scan``: what broke in a log, by the same rules as the service, offline."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from ajrd.cli.rulesource import RULES_OPTION, catalogue
from ajrd.detect.engine import Engine, compile_engine
from ajrd.model import Finding, Verdict
from ajrd.offline import scan_stream
from ajrd.text import printable

Show = Callable[[str, Finding | Verdict], None]


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@RULES_OPTION
def scan(files: tuple[str, ...], as_json: bool, rules: tuple[Path, ...]) -> None:
    """Say what broke in each FILE; ``-`` reads standard input.

    Exit status 0 if every file was read, whatever was found in it; 1 if one could not be read.
    """
    engine = compile_engine(catalogue(rules))
    show = _show_json if as_json else _show_text
    unread = False
    for name in files:
        try:
            _scan(name, engine, show)
        except OSError as error:
            click.echo(f"ajrd: cannot read {printable(name)}: {error.strerror or error}", err=True)
            unread = True
    sys.exit(1 if unread else 0)


def _scan(name: str, engine: Engine, show: Show) -> None:
    if name == "-":
        show(name, scan_stream(name, sys.stdin.buffer, engine, partial(show, name)))  # type: ignore[arg-type]
        return
    with open(name, "rb") as file:
        show(name, scan_stream(name, file, engine, partial(show, name)))


def as_dict(finding: Finding) -> dict[str, Any]:
    """A finding as ``--json`` prints it."""
    return {
        "line": finding.line_no,
        "offset": finding.offset,
        "kind": finding.kind.value,
        "cause": finding.cause,
        "role": finding.role.value,
        "recovery": finding.recovery.value,
        "text": finding.text,
        "facts": dict(finding.facts),
        "rule": finding.rule,
    }


def _verdict_dict(verdict: Verdict) -> dict[str, Any]:
    return {
        "kind": verdict.kind.value if verdict.kind else None,
        "cause": verdict.cause,
        "recovery": verdict.recovery.value,
        "line": verdict.finding.line_no if verdict.finding else None,
        "reason": verdict.reason,
    }


def _show_json(name: str, thing: Finding | Verdict) -> None:
    if isinstance(thing, Finding):
        click.echo(json.dumps(as_dict(thing)))
    else:
        click.echo(json.dumps({"verdict": _verdict_dict(thing), "file": name}))


def _show_text(name: str, thing: Finding | Verdict) -> None:
    if isinstance(thing, Finding):
        meaning = f"{thing.kind.value} {thing.cause}, {thing.role.value}"
        click.echo(f"{printable(name)}:{thing.line_no}: {meaning}: {thing.text[:160]}")
    elif thing.cause is None:
        click.echo(f"{printable(name)}: {thing.reason}")
    else:
        nodes = f" without {','.join(thing.nodes)}" if thing.nodes else ""
        means = f"{thing.recovery.value}{nodes}"
        click.echo(
            f"{printable(name)}: verdict {thing.kind} {thing.cause} -> {means}; {thing.reason}"
        )
