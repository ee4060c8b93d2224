"""``ajrd rules``: check, list and show the rules of the catalogue."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ajrd.cli.rulesource import RULES_OPTION, catalogue
from ajrd.cli.table import columns
from ajrd.detect.rule import AnyRule, Rule


@click.group()
def rules() -> None:
    """Check, list and show the rules of the catalogue."""


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
