"""``ajrd loki check``: would the service get from Loki what it needs?"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click

from ajrd.cli.main import UNREACHABLE
from ajrd.cli.storeurl import CONFIG_OPTION, config_path
from ajrd.config import LokiSection, load
from ajrd.detect.catalogue import Catalogue
from ajrd.errors import ConfigError, LokiUnavailable
from ajrd.loki.client import Loki
from ajrd.loki.entries import Entry, Reader
from ajrd.loki.health import Health
from ajrd.loki.logql import filters_of
from ajrd.loki.questions import Question, Selection
from ajrd.loki.watch import access_of, labels_of
from ajrd.text import printable

SECOND = 1_000_000_000


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
    questions = _questions(config.loki, config.rules_dirs)
    tenants = config.loki.tenants or ("",)
    well = [asyncio.run(_check(config.loki, name, questions, minutes)) for name in tenants]
    if queries:
        for question in questions:
            click.echo(f"{question.what.value}: {question.logql}")
    if not all(well):
        sys.exit(UNREACHABLE)


def _questions(section: LokiSection, rules_dirs: Iterable[str]) -> list[Question]:
    filters = filters_of(Catalogue.load(tuple(rules_dirs)))
    return Selection(section.jobs, section.nodes, section.query_length).questions(filters, ())


async def _check(
    section: LokiSection, tenant: str, questions: list[Question], minutes: int
) -> bool:
    name = f"{section.url}" + (f" as {tenant}" if tenant else "")
    labels = labels_of(section)
    client = Loki(access_of(section), tenant, Reader(labels.names), Health(tenant))
    try:
        click.echo(f"{name}: {await client.ready()}, version {await client.version()}")
        well = True
        for selector in (*section.jobs, *section.nodes):
            well = await _look(client, section, selector, minutes) and well
        await _try(client, questions, minutes)
    except LokiUnavailable as error:
        click.echo(f"{name}: {error}")
        return False
    finally:
        await client.close()
    return well


async def _look(client: Loki, section: LokiSection, selector: str, minutes: int) -> bool:
    """What a selection has, and how its newest lines name their job."""
    end = time.time_ns()
    start = end - minutes * 60 * SECOND
    newest = await client.query(selector, start, end, 100, forward=False)
    if not newest:
        click.echo(f"  {selector}: no line in {minutes} min: is anything shipped there?")
        return False
    named = _naming(section, selector, newest)
    parts = ", ".join(f"{name or 'nothing'} in {count}" for name, count in named.items())
    age = (end - newest[0].ns) / SECOND
    click.echo(f"  {selector}: newest line {age:.1f} s old; of {len(newest)}: {parts}")
    if "" in named:
        example = newest[0].stream.short
        click.echo(f"    a line must have one of the labels in loki.labels; seen: {example}")
    return set(named) != {""}


def _naming(section: LokiSection, selector: str, entries: list[Entry]) -> Counter[str]:
    """By which labels entries can be told to be somebody's."""
    names = section.labels
    wanted = names.node if selector in section.nodes else (*names.job, *names.file)
    return Counter(
        printable(next((name for name in wanted if entry.stream.labels.get(name)), ""))
        for entry in entries
    )


async def _try(client: Loki, questions: list[Question], minutes: int) -> None:
    """Every query of the service once, so that a refusal shows here."""
    end = time.time_ns()
    counts: Counter[str] = Counter()
    for question in questions:
        start = end - minutes * 60 * SECOND
        counts[question.what.value] += len(await client.query(question.logql, start, end, 1000))
    chosen = ", ".join(f"{count} of {what}" for what, count in counts.items())
    click.echo(
        f"  the {len(questions)} queries of the service select: {chosen} (at most 1000 each)"
    )
