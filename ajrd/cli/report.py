"""``ajrd report``: what ajrd would have done in observe mode, and what people then did."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ajrd.cli import moments
from ajrd.cli.storeurl import CONFIG_OPTION, store_address
from ajrd.cli.table import columns
from ajrd.kpi.agreement import Judged, Tally, View, judge, tally
from ajrd.store.observed import observed
from ajrd.store.read import Reader
from ajrd.text import elapsed, local_time

#: Decisions that are looked at, and doubtful ones that are named.
MOST, NAMED = 10_000, 20
_TALLY = (
    "CAUSE", "VERB", "DECISIONS", "AGREES", "DISAGREES", "WRONG", "UNKNOWN", "OPEN", "SAVED",
    "GPU-HOURS",
)  # fmt: skip
_DOUBTFUL = ("JOBID", "ATTEMPT", "PARTITION", "CAUSE", "VERB", "DECIDED", "VIEW", "BECAME")


@click.command()
@moments.option("since", "now-14days", "Only decisions since this time.")
@click.option(
    "--within",
    type=click.FloatRange(0.1, 24 * 30),
    default=24.0,
    show_default=True,
    help="Hours that people have to act on a broken job.",
)
@click.option("--json", "to_json", is_flag=True, help="Print one JSON object; times in seconds.")
@CONFIG_OPTION
def report(since: datetime, within: float, to_json: bool, file: Path | None) -> None:
    """Compare what ajrd would have done in observe mode with what then happened.

    AGREES: a job that it would have requeued was requeued or submitted again, or one that it would
    have stopped was left. WRONG: a possible false kill, the attempt went on or ended well. UNKNOWN:
    nobody did anything. OPEN: people still have time. SAVED is the time from the decision to the
    moment at which others went on. docs/rollout.md says how to read it.
    """
    now, patience = datetime.now(UTC), timedelta(hours=within)
    with closing(Reader(store_address(file))) as reader:
        found = observed(reader.select, since, patience, MOST)
        judged = [judge(each, patience, now) for each in found]
    if to_json:
        click.echo(json.dumps(_object(judged, since, within), indent=2))
    else:
        _show(judged)
    if len(judged) == MOST:
        click.echo(f"ajrd: only the newest {MOST} decisions; choose a later --since", err=True)


def _groups(judged: Iterable[Judged]) -> list[tuple[tuple[str, str], Tally]]:
    groups: dict[tuple[str, str], list[Judged]] = {}
    for each in judged:
        groups.setdefault((each.observed.cause, each.observed.verb.value), []).append(each)
    sums = [(key, tally(members)) for key, members in groups.items()]
    return sorted(sums, key=lambda pair: (-pair[1].decisions, pair[0]))


def _show(judged: Sequence[Judged]) -> None:
    if not judged:
        click.echo("no decision was made in observe mode in that time")
        return
    total = tally(judged)
    rows = [(*key, *_cells(each)) for key, each in _groups(judged)]
    click.echo("\n".join(columns(_TALLY, [*rows, ("all", "", *_cells(total))])))
    share = "-" if total.agreement is None else f"{total.agreement:.0%}"
    click.echo(
        f"\n{share} agreement; acting would have saved {elapsed(total.saved)}"
        f" ({total.saved_gpu_hours:.1f} GPU-hours)"
    )
    doubtful = [each for each in judged if each.view in (View.WRONG, View.DISAGREES)]
    doubtful.sort(key=lambda each: each.view is not View.WRONG)
    if doubtful:
        click.echo("\nlook at these (ajrd explain JOBID):")
        click.echo("\n".join(columns(_DOUBTFUL, map(_row, doubtful[:NAMED]))))
        if len(doubtful) > NAMED:
            click.echo(f"and {len(doubtful) - NAMED} more: --json has all")


def _cells(each: Tally) -> tuple[object, ...]:
    counts = each.decisions, each.agrees, each.disagrees, each.wrong, each.unknown, each.open
    return (*counts, elapsed(each.saved), f"{each.saved_gpu_hours:.1f}")


def _row(each: Judged) -> tuple[object, ...]:
    seen = each.observed
    return (
        seen.job_id,
        seen.attempt,
        seen.partition,
        seen.cause,
        seen.verb,
        local_time(seen.decided_at),
        each.view,
        each.fate,
    )


def _object(judged: Sequence[Judged], since: datetime, within: float) -> dict[str, Any]:
    total = tally(judged)
    return {
        "since": since.astimezone(UTC).isoformat(),
        "within_hours": within,
        "total": asdict(total) | {"agreement": total.agreement},
        "causes": [
            {"cause": cause, "verb": verb, **asdict(each), "agreement": each.agreement}
            for (cause, verb), each in _groups(judged)
        ],
        "decisions": [_plain(each) for each in judged],
    }


def _plain(each: Judged) -> dict[str, Any]:
    values = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(each.observed).items()
    }
    return values | {"fate": each.fate, "view": each.view, "saved": each.saved}
