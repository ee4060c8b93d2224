"""Asks until everything that was answered has been tried and works. Nothing is changed here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from ajrd.doctor.check import Level, Verdict
from ajrd.errors import ConfigError, SlurmUnavailable
from ajrd.setup import questions, shell, wanted
from ajrd.setup.answers import Answers
from ajrd.setup.console import Console, Tone
from ajrd.setup.facts import NOTHING, Found, gather
from ajrd.setup.host import Host
from ajrd.setup.job import Job, Secrets
from ajrd.setup.questions import Form, Group, Question
from ajrd.setup.trial import Tried, Wrong
from ajrd.setup.trying import tried

#: What is asked after Slurm was found, in this order.
GROUPS = tuple(group for group in Group if group is not Group.SLURM)
_TONES = {Level.WARN: Tone.DOUBT, Level.FAIL: Tone.FAULT}
_WELCOME = (
    'An empty answer takes what stands in brackets, "none" takes nothing, ? explains the question,'
    " Ctrl-C ends it all. Nothing is changed before you are asked at the end."
)


def interview(console: Console, host: Host, program: str, saved: Answers | None) -> Job:
    """What an administrator wants, tried group by group; raises click.Abort if he gives up.

    ``saved`` are the answers of an earlier run, and the defaults.
    """
    console.tell(_WELCOME)
    job = _slurm(
        console, Job(host, replace(NOTHING, program=program), saved or Answers(), Secrets())
    )
    if saved is None:
        job = replace(job, answers=questions.suggested(job.answers, job.facts))
    for group in GROUPS:
        job = ask_group(console, group, job)
    return _kept(job)


def _kept(job: Job) -> Job:
    """A token that was typed is named by the file that setup will keep it in."""
    if job.secrets.loki and job.answers.loki.url and not job.answers.loki.user:
        answers = questions.put(job.answers, "loki.token_file", wanted.LOKI_TOKEN)
        return replace(job, answers=answers)
    return job


def _slurm(console: Console, job: Job) -> Job:
    """Finds Slurm; where it is is asked only if it is not found."""
    console.tell("")
    console.tell(Group.SLURM.value, Tone.HEADING)
    job = _with_shell(console, job)
    while True:
        try:
            found = find(job)
        except Wrong as error:
            console.tell(str(error), Tone.FAULT)
            job = _asked(console, Group.SLURM, job, again=True)
            continue
        tell_found(console, found)
        return replace(job, facts=found.facts)


def _with_shell(console: Console, job: Job) -> Job:
    """What this shell knows of Slurm, as answers."""
    known = shell.with_shell(job.answers.slurm, job.host.environ)
    if said := shell.told(job.answers.slurm, known):
        console.tell(said, Tone.GOOD)
    return replace(job, answers=job.answers.model_copy(update={"slurm": known}))


def find(job: Job) -> Found:
    """What there is on this host; raises Wrong if Slurm cannot be asked."""
    asyncio.run(tried(Group.SLURM, job))
    try:
        return asyncio.run(gather(job.host, job.facts.program, job.answers.slurm))
    except SlurmUnavailable as error:
        raise Wrong("slurm.conf", str(error)) from None


def tell_found(console: Console, found: Found) -> None:
    """Slurm in a line, and what the doctor finds wrong with it, with what mends that."""
    console.tell(found.facts.slurm.line, Tone.GOOD)
    for each in found.doubts:
        console.tell(_doubt(each), _TONES[each.finding.level])


def _doubt(each: Verdict) -> str:
    return f"{each.finding.found}\n-> {each.finding.mend}"


def yes_or_no(console: Console, words: str, *, default: bool) -> bool:
    """Asks for one of them; raises click.Abort."""
    while True:
        text = console.ask(f"{words} [{'y' if default else 'n'}]").strip().lower()
        if text in ("", "y", "yes", "n", "no"):
            return text[:1] == "y" if text else default
        console.tell("y or n", Tone.FAULT)


def ask_group(console: Console, group: Group, job: Job) -> Job:
    """Asks a group until its trial succeeds."""
    console.tell("")
    console.tell(group.value, Tone.HEADING)
    again = False
    while True:
        job = _asked(console, group, job, again=again)
        try:
            job, seen = asyncio.run(tried(group, job))
        except Wrong as wrong:
            console.tell(str(wrong), Tone.FAULT)
            job, again = without_secret(job, wrong.key), True
            continue
        tell_tried(console, seen)
        return job


def examine_all(console: Console, host: Host, program: str, answers: Answers) -> Job | None:
    """Tries answers that nobody is there to change; None if anything is wrong, which was told."""
    job = _with_shell(console, Job(host, replace(NOTHING, program=program), answers, Secrets()))
    try:
        found = find(job)
    except Wrong as error:
        console.tell(str(error), Tone.FAULT)
        return None
    tell_found(console, found)
    job, well = replace(job, facts=found.facts), True
    for group in GROUPS:
        try:
            job, seen = asyncio.run(tried(group, job))
            tell_tried(console, seen)
        except Wrong as wrong:
            console.tell(str(wrong), Tone.FAULT)
            well = False
    return job if well else None


def tell_tried(console: Console, seen: Tried) -> None:
    """What a trial has seen."""
    for said in seen.good:
        console.tell(said, Tone.GOOD)
    for said in seen.doubts:
        console.tell(said, Tone.DOUBT)


def without_secret(job: Job, key: str) -> Job:
    """A secret that was wrong is asked for anew."""
    fields = [each.into for each in questions.QUESTIONS if each.key == key and each.into]
    return replace(job, secrets=replace(job.secrets, **dict.fromkeys(fields, "")))


def _asked(console: Console, group: Group, job: Job, *, again: bool) -> Job:
    for question in questions.of(group):
        if not question.when(job):
            job = questions.skipped(question, job)
        elif again or not question.rare(job):
            job = _question(console, question, job)
    return job


def _question(console: Console, question: Question, job: Job) -> Job:
    """Asks until the answer can be one; an empty one is the default."""
    ask: Callable[[str], str] = console.ask
    if question.form is Form.HIDDEN:
        ask = console.secret
    while True:
        text = ask(prompt(question, job))
        if text.strip() == "?":
            console.tell(question.help)
            continue
        try:
            return questions.answered(question, job, text)
        except ConfigError as error:
            console.tell(str(error), Tone.FAULT)


def prompt(question: Question, job: Job) -> str:
    """The words, the choices, and what an empty answer takes."""
    words = question.words
    if question.choices:
        words += f" ({', '.join(question.choices)})"
    return f"{words} [{questions.default_shown(question, job)}]"
