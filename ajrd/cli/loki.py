"""``ajrd loki check``: would the service get from Loki what it needs?"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from ajrd.cli.main import UNREACHABLE
from ajrd.cli.storeurl import CONFIG_OPTION, config_path
from ajrd.config import LokiSection, load
from ajrd.errors import ConfigError, LokiUnavailable
from ajrd.loki.checkup import Seen, client_of, newest, questions_of, tried
from ajrd.loki.questions import Question


@click.group()
def loki() -> None:
    """Look at the Loki that logs are shipped to."""


@loki.command()
@CONFIG_OPTION
@click.option("--minutes", default=10, type=click.IntRange(1, 1440), help="How far to look back.")
@click.option("--queries", is_flag=True, help="Print the queries of the service, too.")
def check(file: Path | None, minutes: int, queries: bool) -> None:
    """Ask Loki, as each tenant, whether it is ready and what it has of the last minutes.

    Exit status: 0 it answers and has lines, 3 something is wrong.
    """
    config = load(config_path(file))
    if not config.loki.url:
        raise ConfigError("loki.url is not set")
    questions = questions_of(config.loki, config.rules_dirs)
    tenants = config.loki.tenants or ("",)
    well = [asyncio.run(_check(config.loki, name, questions, minutes)) for name in tenants]
    if queries:
        for question in questions:
            click.echo(f"{question.what.value}: {question.logql}")
    if not all(well):
        sys.exit(UNREACHABLE)


async def _check(
    section: LokiSection, tenant: str, questions: list[Question], minutes: int
) -> bool:
    name = f"{section.url}" + (f" as {tenant}" if tenant else "")
    client = client_of(section, tenant)
    try:
        click.echo(f"{name}: {await client.ready()}, version {await client.version()}")
        well = True
        for selector in (*section.jobs, *section.nodes):
            well = _show(await newest(client, section, selector, minutes), minutes) and well
        counts = await tried(client, questions, minutes)
    except LokiUnavailable as error:
        click.echo(f"{name}: {error}")
        return False
    finally:
        await client.close()
    chosen = ", ".join(f"{count} of {what}" for what, count in counts.items())
    click.echo(
        f"  the {len(questions)} queries of the service select: {chosen} (at most 1000 each)"
    )
    return well


def _show(seen: Seen, minutes: int) -> bool:
    """What a selection has, and how its newest lines name their job; is it of use?"""
    if not seen.lines:
        click.echo(f"  {seen.selector}: no line in {minutes} min: is anything shipped there?")
        return False
    parts = ", ".join(f"{name or 'nothing'} in {count}" for name, count in seen.named.items())
    click.echo(f"  {seen.selector}: newest line {seen.age:.1f} s old; of {seen.lines}: {parts}")
    if "" in seen.named:
        click.echo(f"    a line must have one of the labels in loki.labels; seen: {seen.example}")
    return seen.useful
