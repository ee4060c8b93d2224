"""The table of questions: complete, short enough for a terminal, and what answers mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ajrd.errors import ConfigError
from ajrd.setup import questions
from ajrd.setup.answers import Answers, Rights
from ajrd.setup.facts import Facts, SlurmFacts, hostname_among
from ajrd.setup.host import Host
from ajrd.setup.job import Job, Secrets
from ajrd.setup.questions import QUESTIONS, Form, Question, answered, put, suggested, value
from ajrd.setup.wizard import prompt

SLURM = SlurmFacts("22.05.8", "c", "/etc/slurm.conf", "slurm", ("main",), True, True)
FACTS = Facts("head", "/usr/bin/ajrd", SLURM, "/run/mysqld/mysqld.sock")
#: For files of answers alone: secrets are typed, or there are better ways to them.
BY_KEY = {question.key: question for question in QUESTIONS}


def job(**answers: Any) -> Job:
    return Job(Host(Path("/none")), FACTS, Answers.model_validate(answers), Secrets())


def after(key: str, text: str, **answers: Any) -> object:
    """The value of a key after somebody has typed something."""
    return value(answered(BY_KEY[key], job(**answers), text).answers, key)


def test_every_answer_has_one_question() -> None:
    model = Answers()
    keys = [
        f"{section}.{name}"
        for section in type(model).model_fields
        if section != "extra"
        for name in type(getattr(model, section)).model_fields
    ]
    assert sorted(keys) == sorted(question.key for question in QUESTIONS)


@pytest.mark.parametrize("question", QUESTIONS, ids=[question.key for question in QUESTIONS])
def test_a_question_fits_a_terminal_and_explains_itself(question: Question) -> None:
    assert len(prompt(question, job())) <= 70, "80 columns, and room for an answer"
    assert question.help.endswith(".")
    assert len(question.help) > 8


def test_the_simple_case_is_few_questions() -> None:
    made = replace(job(), answers=suggested(Answers(), FACTS))
    asked = [each for each in QUESTIONS if each.when(made) and not each.rare(made)]
    assert len(asked) <= 11


def test_what_was_found_is_suggested() -> None:
    found = suggested(Answers(), FACTS)
    assert found.database.socket == "/run/mysqld/mysqld.sock"
    assert found.hooks.controller


@pytest.mark.parametrize(("accounting", "right"), [(True, "accounting"), (False, "slurm-user")])
def test_who_acts_gets_the_least_right_that_there_is(accounting: bool, right: str) -> None:
    slurm = replace(SLURM, accounting=accounting)
    made = replace(
        job(recovery={"mode": "act"}, slurm={"rights": "given"}), facts=replace(FACTS, slurm=slurm)
    )
    made = replace(made, answers=put(made.answers, "slurm.rights", Rights.NONE))
    assert prompt(BY_KEY["slurm.rights"], made).endswith(f"[{right}]")


@pytest.mark.parametrize(
    ("key", "text", "wanted"),
    [
        ("recovery.partitions", "a, b,c ,", ("a", "b", "c")),
        ("recovery.partitions", "all", ()),
        ("recovery.partitions", "none", ()),
        ("loki.jobs", '{job="a",b="c"}, {job="d"}', ('{job="a",b="c"}', '{job="d"}')),
        ("loki.url", "none", None),
        ("loki.url", "  http://loki  ", "http://loki"),
        ("database.port", "3307", 3307),
        ("database.ca", "no TLS", None),
        ("host.uid", "any", None),
        ("host.start", "N", False),
        ("host.start", "yes", True),
        ("host.start", "", True),
    ],
)
def test_what_an_answer_means(key: str, text: str, wanted: object) -> None:
    assert after(key, text) == wanted


def test_an_empty_answer_keeps_what_there_was() -> None:
    assert after("loki.url", "", loki={"url": "http://loki"}) == "http://loki"
    assert after("loki.url", "none", loki={"url": "http://loki"}) is None


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("database.port", "mysql", "valid integer"),
        ("database.port", "70000", "less than or equal to 65535"),
        ("host.uid", "0", "greater than or equal to 1"),
        ("host.start", "maybe", "y or n"),
        ("recovery.mode", "attack", "one of: observe, act"),
        ("database.kind", "none", "one of: sqlite, mysql"),
        ("database.host", "db\x1b[31m", "control characters"),
        ("database.host", "db\u202e", "control characters"),
        ("database.admin_password_file", "a\x08b", "control characters"),
        ("database.name", "none", "valid string"),
    ],
)
def test_what_is_no_answer(key: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        after(key, text)


def test_a_typed_secret_takes_the_place_of_a_file_and_is_shown_nowhere() -> None:
    question = BY_KEY["loki.password_file"]
    before = job(loki={"password_file": "/etc/ajrd/p"})
    assert prompt(question, before).endswith("[that in /etc/ajrd/p]")
    assert answered(question, before, "") == before
    made = answered(question, before, " p\u00e4ss ")
    assert made.secrets.loki == " p\u00e4ss "
    assert made.answers.loki.password_file is None
    assert prompt(question, made).endswith("[as before]")
    assert "ss" not in repr(made.secrets)


def test_what_does_not_apply_any_more_is_not_wanted() -> None:
    made = job(loki={"user": "ada"}, database={"socket": "/s"})
    for question in QUESTIONS:
        if not question.when(made):
            made = questions.skipped(question, made)
    assert made.answers == Answers()


def test_secrets_are_never_typed_where_they_show() -> None:
    words = ("password", "token")
    shown = [q.key for q in QUESTIONS if q.form is not Form.HIDDEN]
    by_file = {"database.password_file", "hardware.token_file"}
    assert {key for key in shown if any(word in key for word in words)} == by_file
    assert all("File" in BY_KEY[key].words for key in by_file)


@pytest.mark.parametrize(
    ("hostname", "here"),
    [("head1", True), ("head2", True), ("head1.example.org", True), ("n1", False)],
)
def test_slurmctld_runs_here_if_it_names_this_host(hostname: str, here: bool) -> None:
    settings = {"SlurmctldHost[0]": "head1(10.0.0.1)", "SlurmctldHost[1]": "head2", "Other": "n1"}
    assert hostname_among(hostname, settings) is here
