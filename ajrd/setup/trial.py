"""What a trial is: it looks, changes nothing, and ends in what it has seen or in one sentence."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import ValidationError

from ajrd.config import TlsSection
from ajrd.errors import AjrdError, ConfigError, SetupError
from ajrd.secret import read_secret
from ajrd.setup.job import Job
from ajrd.setup.questions import QUESTIONS, Group, value
from ajrd.setup.reach import require_reach
from ajrd.setup.run import begin
from ajrd.setup.steps import STEPS
from ajrd.setup.wanted import service_user
from ajrd.yamlmodel import Section

S = TypeVar("S", bound=Section)
#: Seconds for one request.
REQUEST = 8.0
#: The fields of the secrets by the heading of their section, with the keys whose files hold them.
_FILES: Mapping[Group, Mapping[str, tuple[str, ...]]] = {
    Group.DATABASE: {
        "admin": ("database.admin_password_file",),
        "database": ("database.password_file",),
    },
    Group.LOKI: {"loki": ("loki.password_file", "loki.token_file")},
    Group.HARDWARE: {"hardware": ("hardware.token_file",)},
}


class Wrong(SetupError):
    """What was answered to ``key`` does not work, for the reason in the message, which names it."""

    def __init__(self, key: str, said: str) -> None:
        super().__init__(f"{key}: {said}")
        self.key = key
        self.said = said


@dataclass(frozen=True, slots=True)
class Tried:
    """What a trial has seen that is well, and what an administrator should know."""

    good: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


Trial = Callable[[Job], Awaitable[Tried]]


# secrets


def with_secrets(group: Group, job: Job) -> Job:
    """The job with the secrets in the files that the answers of a group name; raises Wrong."""
    for field, keys in _FILES.get(group, {}).items():
        for key in keys:
            if file := value(job.answers, key):
                secret = _secret(key, file)
                job = replace(job, secrets=replace(job.secrets, **{field: secret}))
    return job


def _secret(key: str, file: str) -> str:
    try:
        found = read_secret(file, "", key).decode("utf-8", "surrogateescape")
    except ConfigError as error:
        raise Wrong(key, str(error).replace(f" of {key}", "")) from None
    if not found:
        raise Wrong(key, f"{file} is empty")
    return found


@contextmanager
def held(secret: str) -> Iterator[str | None]:
    """A file with the secret for what reads it from one: in memory, for this process alone."""
    if not secret:
        yield None
        return
    number = os.memfd_create("secret")
    try:
        os.fchmod(number, 0o600)
        os.write(number, secret.encode("utf-8", "surrogateescape"))
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)


def checked(name: str, model: type[S], **values: object) -> S:
    """A section of the configuration; raises Wrong with the key of the answer."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        said = fault["msg"].removeprefix("Value error, ")
        raise Wrong(f"{name}.{fault['loc'][0] if fault['loc'] else 'url'}", said) from None


def tls(job: Job, key: str) -> TlsSection:
    """The certificates to trust, which the service must be able to read, too; raises Wrong."""
    ca: str | None = value(job.answers, key)
    section = TlsSection(ca=ca)
    if ca is None:
        return section
    try:
        section.files().context()
    except ConfigError:
        raise Wrong(key, f"{ca} cannot be read, or holds no certificate (PEM)") from None
    try:
        require_reach(job.host, service_user(job.answers, job.facts), ca, "the file")
    except SetupError as error:
        raise Wrong(key, str(error)) from None
    return section


# What the steps of a setup say


def foreseen(job: Job, default: str, *steps: str) -> None:
    """Steps that would refuse to begin say so now; raises Wrong.

    Its key is the first of the same section that a message names, else ``default``.
    """
    work = begin(job)
    try:
        for step in steps:
            list(STEPS[step](work))
    except AjrdError as error:
        said = str(error)
        section = default.partition(".")[0]
        keys = (each.key for each in QUESTIONS if each.key.startswith(f"{section}."))
        named = (key for key in keys if key in said)
        raise Wrong(next(named, default), said) from None
