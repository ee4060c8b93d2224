"""``ajrd explain JOBID[.ATTEMPT]``: why ajrd acted on a job, or why it did not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from ajrd.cli.explain_view import Background, as_text, weighed, why
from ajrd.cli.jobid import main_part, unknown, with_attempt
from ajrd.cli.look import Look, looking
from ajrd.cli.main import UNKNOWN
from ajrd.cli.paint import for_terminal
from ajrd.cli.status_view import as_json, plain
from ajrd.cli.storeurl import CONFIG_OPTION, site_config
from ajrd.errors import ConfigError
from ajrd.store.history import AttemptHistory, JobHistory


@click.command()
@click.argument("which", metavar="JOBID[.ATTEMPT]", callback=with_attempt)
@click.option("--json", "to_json", is_flag=True, help="Print one JSON object.")
@CONFIG_OPTION
def explain(which: tuple[str, int | None], to_json: bool, file: Path | None) -> None:
    """Explain why ajrd acted on a job, or why it did not.

    For each attempt: the evidence in its order with the part that each line plays, what broke first
    and why that, the rule and the software that it is from, the decision in words, the budget, each
    command with its time and result, and the outcome. Or what kept ajrd from deciding anything.
    """
    job_id, number = which
    with looking(file) as look:
        job = look.job(main_part(job_id)) or _outside(look, job_id, to_json, file)
        history = look.story(job, events=0)
        site = _background(look, history, file)
    attempts = [a for a in history.attempts if number in (None, a.attempt.idx)]
    if number is not None and not attempts:
        click.echo(f"ajrd: job {job_id} has no attempt {number}", err=True)
        sys.exit(UNKNOWN)
    if to_json:
        click.echo(json.dumps(_json(history, attempts, site), indent=2))
        return
    click.echo("\n".join(for_terminal(as_text(history, attempts, site))))


def _outside(look: Look, job_id: str, to_json: bool, file: Path | None) -> NoReturn:
    """A job that is not in the store: nothing was done, for a reason that Slurm may tell."""
    from ajrd.cli.outside import explain_from_slurm

    found = None if look.array_tasks(job_id) else explain_from_slurm(job_id, site_config(file))
    if found is None:
        unknown(look, job_id)
    if to_json:
        click.echo(json.dumps({"job": found, "attempts": [], "requests": []}, indent=2))
    else:
        click.echo(f"Job {job_id}: {found['state']}, not managed by ajrd: {found['note']}")
    sys.exit(0)


def _background(look: Look, history: JobHistory, file: Path | None) -> Background:
    from ajrd.policy.directive import parse_directive
    from ajrd.settings import limits_of, site_of

    config = site_config(file)
    limits = limits_of(config)
    return Background(
        directive=parse_directive(history.job.comment, limits),
        ceiling=limits.ceiling,
        settle=config.recovery.settle,
        progress_lag=config.recovery.progress_lag,
        acts=site_of(config).act,
        now=look.now(),
        rule_source=_sources(config.rules_dirs),
        requests=look.requests(history.job),
    )


def _sources(rules_dirs: tuple[str, ...]) -> Callable[[str], str]:
    """Looks rules up in the catalogue, which is read when the first is asked for."""
    known: dict[str, str] = {}

    def source(rule: str) -> str:
        if not known:
            from ajrd.detect.catalogue import Catalogue

            with suppress(ConfigError):
                known.update((each.id, each.source) for each in Catalogue.load(rules_dirs).rules)
        return known.get(rule, "")

    return source


def _json(history: JobHistory, attempts: list[AttemptHistory], site: Background) -> dict[str, Any]:
    told = as_json(JobHistory(history.job, attempts, []))
    for each, attempt in zip(told["attempts"], attempts, strict=True):
        ripe, verdict = weighed(attempt, site)
        rule = verdict.finding.rule if verdict.finding else None
        each["why"] = why(history, attempt, site)
        each["verdict"] = {
            "kind": plain(verdict.kind),
            "cause": verdict.cause,
            "reason": verdict.reason,
            "rule": rule,
            "source": site.rule_source(rule) if rule else None,
            "nodes": list(verdict.nodes),
            "answered_by_progress": len(ripe.vetoed),
        }
    del told["events"]
    return told | {"requests": [plain(request) for request in site.requests]}
