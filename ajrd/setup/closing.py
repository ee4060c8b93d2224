"""After everything was answered: what will be changed, the doing of it, and what comes next."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

import click

from ajrd import share
from ajrd.cli.paint import coloured
from ajrd.config import Mode
from ajrd.doctor.check import begin, examine, exit_code
from ajrd.doctor.report import as_lines
from ajrd.doctor.table import CHECKS
from ajrd.errors import AjrdError
from ajrd.setup import questions, run, wanted
from ajrd.setup.console import Console, Tone
from ajrd.setup.host import Host
from ajrd.setup.job import Job
from ajrd.setup.questions import Form
from ajrd.setup.run import Planned
from ajrd.setup.steps.configuration import is_replaceable
from ajrd.setup.trying import hooks_wanted
from ajrd.setup.wizard import yes_or_no

_FAILED = (
    "A step has failed, and what it had made is gone again; the steps before it stay. The same"
    " command goes on where it stopped; ajrd uninstall takes back everything."
)


def settle_config(console: Console, host: Host, replace_config: bool) -> bool:
    """Is a configuration of somebody else to be replaced? Asked before everything else.

    Raises click.Abort if it is not.
    """
    if replace_config or is_replaceable(host):
        return replace_config
    console.tell(f"{wanted.CONFIG} is not as setup has written it.", Tone.DOUBT)
    if not yes_or_no(console, "Overwrite it at the end, keeping a copy", default=False):
        raise click.Abort
    return True


def tell_answers(console: Console, job: Job) -> None:
    """What was answered, without secrets."""
    console.tell("")
    console.tell("Wanted", Tone.HEADING)
    for question in questions.QUESTIONS:
        asked = question.when(job) and not question.rare(job)
        if asked and question.form is not Form.HIDDEN:
            value = questions.value(job.answers, question.key)
            console.tell(f"  {question.key:<24} {questions.shown(question, value)}")


def tell_changes(
    console: Console, job: Job, replace_config: bool, *, whole: bool
) -> Sequence[Planned]:
    """Every change, in the order in which it is made; the ``whole``: with differences of files.

    Raises AjrdError for what would stop it.
    """
    planned = run.preview(job, replace_config)
    console.tell("")
    console.tell("Changes", Tone.HEADING)
    _tell_planned(console, planned, whole=whole)
    if not planned:
        console.tell("  none: everything is as it is wanted")
    console.tell("")
    return planned


def _tell_planned(console: Console, planned: Sequence[Planned], *, whole: bool) -> None:
    for each in planned:
        console.tell(f"  {each.step}")
        for change in each.changes:
            head, *rest = change.splitlines()
            console.tell(f"    {head}")
            if whole or not _is_difference(rest):
                _tell_lines(console, rest)


def _tell_lines(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        tone = {"+": Tone.ADDED, "-": Tone.TAKEN}.get(line[:1], Tone.LINE)
        console.tell(f"      {line}", tone)


def _is_difference(lines: Sequence[str]) -> bool:
    """Of files, as diff(1) writes it."""
    return len(lines) > 1 and lines[0].startswith("--- ")


def confirmed(console: Console, planned: Sequence[Planned]) -> bool:
    """May it be carried out? Raises click.Abort."""
    while True:
        text = console.ask("Carry this out (y, n, or d for the differences of files) [y]")
        word = text.strip().lower()
        if word == "d":
            _tell_planned(console, planned, whole=True)
        elif word in ("", "y", "yes"):
            return True
        elif word in ("n", "no"):
            return False


def carry_out(console: Console, job: Job, replace_config: bool) -> None:
    """Makes the changes; raises AjrdError when a step has failed and was taken back."""
    console.tell("")
    console.tell("Done", Tone.HEADING)
    try:
        run.carry_out(job, lambda said: console.tell(_first(said), Tone.GOOD), replace_config)
    except AjrdError:
        console.tell(_FAILED, Tone.FAULT)
        raise


def _first(said: str) -> str:
    return said.splitlines()[0].rstrip(":")


async def examined(console: Console, job: Job) -> int:
    """The doctor's table and what to do next; 1 if something fails, else 0."""
    look = await begin(job.host.path(wanted.CONFIG))
    verdicts = await examine(look, CHECKS)
    console.tell("")
    for line in as_lines(verdicts, coloured()):
        click.echo(line)
    console.tell("")
    console.tell("Next", Tone.HEADING)
    for line in next_steps(job):
        console.tell(f"  {line}")
    return int(exit_code(look, verdicts) > 0)


def next_steps(job: Job) -> Iterator[str]:
    """What an administrator does now."""
    answers = job.answers
    if not (answers.host.start and job.host.systemd):
        yield f"systemctl enable --now {wanted.WATCHDOG} {wanted.SERVICE}"
    if hooks_wanted(answers) and not answers.hooks.edit_slurm_conf:
        yield "put the lines of the hooks into slurm.conf: docs/operations.md"
    yield f"as a user, in a folder of the nodes: sbatch {share.path('slurm/jobs/verification.sh')}"
    yield "and half a minute later: ajrd status JOBID"
    if answers.recovery.mode is Mode.OBSERVE:
        yield "after some days: ajrd report, and then docs/rollout.md"
    if answers.host.pair:
        yield from _on_the_other()


def _on_the_other() -> Iterator[str]:
    """The secrets of this head node, read by setup and thrown away."""
    here = f"{socket.gethostname()}:{wanted.HOME}"
    yield "on the other head node, where ajrd is installed, as root:"
    yield "  mkdir -m 0700 /root/ajrd-setup && cd /root/ajrd-setup"
    yield f"  scp -rp '{here}/credentials' '{here}/setup-answers.yaml' ."
    yield f'  sed -i "s,{wanted.CREDENTIALS},$PWD/credentials," setup-answers.yaml'
    yield "  ajrd setup --answers setup-answers.yaml && rm -r /root/ajrd-setup"
