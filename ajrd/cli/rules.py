"""``ajrd rules``: check, list, show and try the rules of the catalogue."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ajrd.cli.rulesource import RULES_OPTION, catalogue
from ajrd.cli.table import columns
from ajrd.detect.compiled import CompiledRule
from ajrd.detect.rule import AnyRule, Rule
from ajrd.detect.shown import clean
from ajrd.text import printable


@click.group()
def rules() -> None:
    """Check, list, show and try the rules of the catalogue."""


@rules.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[DIR]...")
def check(folders: tuple[Path, ...]) -> None:
    """Check the rules of ajrd together with those in each DIR (default: the configured ones).

    Exit status 0 if all are right; 2 with file, line, rule and reason of the first fault.
    """
    from ajrd.detect.engine import compile_engine

    loaded = catalogue(folders)
    compile_engine(loaded)
    amount = f"{len(loaded.rules)} rules and {len(loaded.progress)} forms of progress"
    click.echo(f"{amount}: right; digest {loaded.digest[:12]}")


@rules.command(name="list")
@click.option("-n", "--noheader", is_flag=True, help="Print no header.")
@RULES_OPTION
def list_rules(noheader: bool, rules: tuple[Path, ...]) -> None:
    """List all rules: what each means and what it leads to."""
    loaded = catalogue(rules)
    rows = [(r.id, str(r.kind), r.cause, str(r.role), str(r.recovery)) for r in loaded.rules]
    rows += [(r.id, "-", "-", "progress", "-") for r in loaded.progress]
    lines = columns(("RULE", "KIND", "CAUSE", "ROLE", "RECOVERY"), rows)
    for line in lines[1:] if noheader else lines:
        click.echo(line)


@rules.command()
@click.argument("lines", nargs=-1, required=True, metavar="LINE...")
@RULES_OPTION
def test(lines: tuple[str, ...], rules: tuple[Path, ...]) -> None:
    """Say which rules speak of each LINE of a log, and which are held back by an exclusion.

    ``-`` reads lines from standard input. Exit status 1 if no rule speaks of any of them.
    """
    from ajrd.detect.engine import compile_engine

    ready = compile_engine(catalogue(rules)).ready
    spoken = False
    for line in _lines(lines):
        click.echo(printable(line))
        for index in range(len(ready.catalogue.rules)):
            said = told(ready.rule(index), line.encode("utf-8", "surrogateescape"))
            spoken = spoken or (said is not None and said[1])
            if said is not None:
                click.echo(f"  {said[0]}")
    sys.exit(0 if spoken else 1)


def _lines(given: tuple[str, ...]) -> Iterator[str]:
    for line in given:
        if line == "-":
            yield from (each.rstrip("\n") for each in sys.stdin)
        else:
            yield line


def told(compiled: CompiledRule, line: bytes) -> tuple[str, bool] | None:
    """What a rule has to say of a line, and whether it speaks; None if it says nothing."""
    rule, hit = compiled.rule, compiled.hit(line)
    if hit is None:
        return (f"{rule.id}: excluded", False) if compiled.matches(line) else None
    facts = compiled.facts(line[hit.start : hit.end])
    read = "".join(f", {name} {clean(value)}" for name, value in facts.items())
    return f"{rule.id}: {rule.kind} {rule.cause}, {rule.role}, {rule.recovery}{read}", True


@rules.command()
@click.argument("rule_id", metavar="RULE")
@RULES_OPTION
def show(rule_id: str, rules: tuple[Path, ...]) -> None:
    """Show one rule as it would stand in a rule file. Exit status 1 if there is none."""
    loaded = catalogue(rules)
    found = next((r for r in loaded.every if r.id == rule_id), None)
    if found is None:
        click.echo(f"ajrd: there is no rule {rule_id}", err=True)
        sys.exit(1)
    import yaml

    section = "rules" if isinstance(found, Rule) else "progress"
    click.echo(f"# {found.where}")
    click.echo(yaml.safe_dump({section: [as_yaml(found)]}, sort_keys=False, width=98), nl=False)


def as_yaml(rule: AnyRule) -> dict[str, Any]:
    """The keys of a rule file; what is empty is left out."""
    values = {name: getattr(rule, name) for name in rule.__slots__}
    if values.pop("sensitive"):
        values["case"] = "sensitive"
    del values["where"]
    return {key: _plain(value) for key, value in values.items() if value}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else str(value)
