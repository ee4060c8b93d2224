"""After everything was answered: what will be changed, the doing of it, and what comes next."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from ajrd import share
from ajrd.cli.paint import coloured
from ajrd.config import Mode
from ajrd.doctor.check import begin, examine, exit_code
from ajrd.doctor.report import as_lines
from ajrd.doctor.table import CHECKS
from ajrd.setup import questions, run
from ajrd.setup.console import Console, Tone
from ajrd.setup.job import Job
from ajrd.setup.questions import Form, Question

_CONFIG = "/etc/ajrd/config.yaml"


def tell_answers(console: Console, job: Job) -> None:
    """What was answered, as far as it is not what everybody has."""
    console.tell("")
    console.tell("Wanted", Tone.HEADING)
    for line in answers_of(job):
        console.tell(line)


def answers_of(job: Job) -> Iterator[str]:
    """A line for each answer, without secrets."""
    for question in questions.QUESTIONS:
        if question.when(job) and not question.rare(job) and question.form is not Form.HIDDEN:
            yield f"  {question.key:<24} {_shown(question, job)}"


def _shown(question: Question, job: Job) -> str:
    return questions.shown(question, questions.value(job.answers, question.key))


def tell_changes(console: Console, job: Job, replace_config: bool) -> None:
    """Every change, in the order in which it is made; raises AjrdError."""
    console.tell("")
    console.tell("Changes", Tone.HEADING)
    planned = run.preview(job, replace_config)
    for each in planned:
        console.tell(f"  {each.step}")
        for change in each.changes:
            console.tell(f"    {change}")
    if not planned:
        console.tell("  none: everything is as it is wanted")
    console.tell("")


def carry_out_all(console: Console, job: Job, replace_config: bool) -> None:
    """Makes the changes; raises SetupError when one has failed and was taken back."""
    console.tell("Carried out", Tone.HEADING)
    run.carry_out(job, lambda said: console.tell(f"  {said}"), replace_config)
    console.tell("")


async def doctor(console: Console, job: Job) -> int:
    """The doctor's table, what to do next, and the exit code."""
    look = await begin(job.host.path(_CONFIG))
    verdicts = await examine(look, CHECKS)
    for line in as_lines(verdicts, coloured()):
        console.tell(line)
    console.tell("")
    console.tell("Next", Tone.HEADING)
    for line in next_steps(job):
        console.tell(line)
    return 1 if exit_code(look, verdicts) else 0


def next_steps(job: Job) -> Iterator[str]:
    """What an administrator does now."""
    yield f"  sbatch {share.path('slurm/jobs/verification.sh')}"
    yield "      as a user, from a folder that the nodes share: it breaks after half a minute"
    yield "  ajrd status JOBID"
    yield "      what was seen of it, and what was decided"
    if job.answers.recovery.mode is Mode.OBSERVE:
        yield "  ajrd report"
        yield "      after some days: what it would have done (docs/rollout.md)"
    if job.answers.host.pair:
        yield from _on_the_other()


def _on_the_other() -> Iterator[str]:
    here = socket.gethostname()
    yield "  On the other head node, with ajrd installed:"
    yield f"      scp -p '{here}:/etc/ajrd/{{setup-answers.yaml,db-password}}' /etc/ajrd/"
    yield "      ajrd setup --answers /etc/ajrd/setup-answers.yaml"
