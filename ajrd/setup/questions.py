"""What is asked, in which order, and how an answer is understood: a table, and pure functions.

Each group is tried as a whole when its last question is answered (:mod:`ajrd.setup.trying`), and
asked again, with the given answers as defaults, if that fails. Questions that nearly everybody
would leave alone are ``rare``: they come when a group is asked again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from pydantic import ValidationError

from ajrd.config import Mode
from ajrd.errors import ConfigError
from ajrd.setup.answers import Answers, Kind, Rights
from ajrd.setup.facts import Facts
from ajrd.setup.job import Job, Secrets
from ajrd.store.address import HERE
from ajrd.text import printable
from ajrd.yamlmodel import Section

_YES = {"y": True, "yes": True, "n": False, "no": False}
#: What clears an answer.
_NONE = "none"
#: A comma that is not within the braces of a selector.
_COMMA = re.compile(r",\s*(?![^{}]*\})")


class Form(Enum):
    """How an answer is written."""

    TEXT = "text"
    CHOICE = "one of several words"
    YES_NO = "y or n"
    LIST = "words with commas between them"
    HIDDEN = "not shown"


class Group(Enum):
    """What is asked and tried together; the value is its heading."""

    SLURM = "Slurm"
    RECOVERY = "Recovery"
    DATABASE = "Database"
    LOKI = "Grafana Loki"
    HARDWARE = "Hardware recovery"
    WEB = "Web pages and API"
    HOOKS = "Hooks of Slurm"
    HOST = "This host"


def _always(_job: Job) -> bool:
    return True


def _never(_job: Job) -> bool:
    return False


def _as_it_is(_job: Job) -> object:
    return None


@dataclass(frozen=True, slots=True)
class Question:
    """``key`` is that of :class:`~ajrd.setup.answers.Answers`, whose description is the help.

    ``empty`` is the word for no value; ``when`` says whether it is asked at all; ``better`` gives
    a default that fits better than the value so far, or None; ``rare`` is explained above.
    ``more`` is added to the help; ``into`` is the field of :class:`~ajrd.setup.job.Secrets` that
    a typed secret goes to.
    """

    group: Group
    key: str
    words: str
    form: Form = Form.TEXT
    empty: str = "none"
    choices: tuple[str, ...] = ()
    when: Callable[[Job], bool] = _always
    better: Callable[[Job], object] = _as_it_is
    rare: Callable[[Job], bool] = _never
    more: str = ""
    into: str = ""

    @property
    def help(self) -> str:
        """The description of its field, as a sentence, and what more there is to say."""
        section, name = self.key.split(".")
        model = type(getattr(Answers(), section))
        said = model.model_fields[name].description or ""
        return f"{said[:1].upper()}{said[1:]}. {self.more}".strip()


def _mysql(job: Job) -> bool:
    return job.answers.database.kind is Kind.MYSQL


def _local(job: Job) -> bool:
    at_home = job.answers.database.host in HERE and not job.answers.host.pair
    return _mysql(job) and at_home


def _by_port(job: Job) -> bool:
    return _mysql(job) and not job.answers.database.socket


def reader_is_new(job: Job) -> bool:
    """Is a reader wanted that is still to be made, by this head node?"""
    database, made = job.answers.database, job.facts.made
    if database.reader is None or (database.reader, database.reader_host) in made:
        return False
    second = job.answers.host.pair and database.password_file and not _hosts_made(job)
    return not second


def _hosts_made(job: Job) -> set[str]:
    return {host for name, host in job.facts.made if name == job.answers.database.user}


def is_made(job: Job) -> bool:
    """Is all there that an administrator of the server would have to make?"""
    database, hosts = job.answers.database, _hosts_made(job)
    more = bool(hosts) and not {*database.clients} <= hosts
    return database.password_file is not None and not more and not reader_is_new(job)


def _administrator(job: Job) -> str | None:
    """Over the network somebody with a password; a socket tells who comes."""
    database = job.answers.database
    return "root" if not database.socket and database.admin_user is None else None


def _loki(job: Job) -> bool:
    return bool(job.answers.loki.url)


def _rights(job: Job) -> Rights | None:
    """What lets it act, if nothing was chosen yet."""
    if job.answers.slurm.rights is not Rights.NONE:
        return None
    return Rights.ACCOUNTING if job.facts.slurm.accounting else Rights.SLURM_USER


_G = Group
QUESTIONS: tuple[Question, ...] = (
    Question(_G.SLURM, "slurm.conf", "Path of slurm.conf", empty="Slurm's own", rare=_always),
    Question(_G.SLURM, "slurm.bin_dir", "Folder of Slurm's commands", empty="PATH", rare=_always),
    Question(
        _G.RECOVERY, "recovery.mode", "Mode", Form.CHOICE, choices=("observe", "act"),
        more="To observe is to write down what would be done, and to touch no job; begin so. It can"
        " be changed at any time (docs/rollout.md).",
    ),
    Question(
        _G.RECOVERY, "slurm.rights", "Right to act", Form.CHOICE,
        choices=("accounting", "slurm-user", "given", "none"), better=_rights,
        when=lambda job: job.answers.recovery.mode is Mode.ACT
        or job.answers.slurm.rights is not Rights.NONE,
        more="accounting: the user ajrd becomes an Administrator in Slurm's accounting; slurm-user:"
        " the service runs as SlurmUser; given: the site sees to it; none: it may only observe.",
    ),
    Question(
        _G.RECOVERY, "recovery.partitions", "Partitions in which it may act", Form.LIST, "all"
    ),
    Question(
        _G.DATABASE, "database.kind", "Kind of database", Form.CHOICE, choices=("sqlite", "mysql"),
        more="sqlite is a file on this host; mysql, a MySQL or MariaDB server, is for a pair of"
        " head nodes and for reports in Grafana.",
    ),
    Question(
        _G.DATABASE, "host.pair", "Does a second head node run ajrd on it, too", Form.YES_NO,
        when=_mysql,
    ),
    Question(_G.DATABASE, "database.host", "Host of the server", when=_mysql),
    Question(
        _G.DATABASE, "database.socket", "Its socket", when=_local,
        rare=lambda job: not (job.answers.database.socket or job.facts.mysql_socket),
    ),
    Question(_G.DATABASE, "database.port", "Its port", when=_by_port),
    Question(
        _G.DATABASE, "database.ca", "File with the certificates to trust (TLS)", empty="no TLS",
        when=_by_port,
    ),
    Question(_G.DATABASE, "database.name", "Name of the database", when=_mysql),
    Question(_G.DATABASE, "database.user", "User of the service in it", when=_mysql),
    Question(
        _G.DATABASE, "database.password_file", "File with its password, if it exists",
        when=_mysql,
    ),
    Question(
        _G.DATABASE, "database.clients", "Hosts from which the service connects", Form.LIST,
        "this one", when=_mysql, rare=lambda job: not job.answers.host.pair,
        more="On a pair: both head nodes, or the other one needs an administrator, too.",
    ),
    Question(_G.DATABASE, "database.reader", "User for Grafana, read-only", when=_mysql),
    Question(
        _G.DATABASE, "database.reader_host", "Host from which Grafana connects",
        when=lambda job: _mysql(job) and job.answers.database.reader is not None,
    ),
    Question(
        _G.DATABASE, "database.admin_defaults_file", "Option file of an administrator (my.cnf)",
        when=_mysql, rare=_always,
    ),
    Question(
        _G.DATABASE, "database.admin_user", "Administrator of the server, for this run alone",
        empty="root, by the socket", when=_mysql, better=_administrator, rare=is_made,
    ),
    Question(
        _G.DATABASE, "database.admin_password_file", "Password of the administrator", Form.HIDDEN,
        when=lambda job: _mysql(job) and job.answers.database.admin_user is not None,
        rare=is_made, into="admin",
    ),
    Question(
        _G.DATABASE, "host.uid", "Number of the user ajrd, the same on both", empty="any",
        when=lambda job: job.answers.host.pair or job.answers.host.uid is not None,
        rare=lambda job: not job.answers.host.pair,
    ),
    Question(_G.LOKI, "loki.url", "URL of Loki, if logs are shipped there"),
    Question(_G.LOKI, "loki.ca", "File with the certificates to trust", empty="the system's",
             when=lambda job: (job.answers.loki.url or "").startswith("https:")),
    Question(_G.LOKI, "loki.tenants", "Tenants", Form.LIST, when=_loki),
    Question(_G.LOKI, "loki.user", "User", when=_loki),
    Question(
        _G.LOKI, "loki.password_file", "Password of that user", Form.HIDDEN, into="loki",
        when=lambda job: bool(job.answers.loki.user),
    ),
    Question(
        _G.LOKI, "loki.token_file", "Or a bearer token", Form.HIDDEN, into="loki",
        when=lambda job: _loki(job) and not job.answers.loki.user,
    ),
    Question(_G.LOKI, "loki.jobs", "Selectors of the streams of jobs", Form.LIST, when=_loki),
    Question(_G.LOKI, "loki.nodes", "Selectors of the nodes' own logs", Form.LIST, when=_loki),
    Question(
        _G.HARDWARE, "hardware.url", "URL to which suspected nodes are reported",
        more="Nothing is reported by this trial (docs/hardware.md).",
    ),
    Question(
        _G.HARDWARE, "hardware.ca", "File with the certificates to trust", empty="the system's",
        when=lambda job: (job.answers.hardware.url or "").startswith("https:"),
    ),
    Question(
        _G.HARDWARE, "hardware.verdict_url", "URL where its verdict is asked for",
        when=lambda job: bool(job.answers.hardware.url),
    ),
    Question(
        _G.HARDWARE, "hardware.token_file", "File with its token",
        when=lambda job: bool(job.answers.hardware.url),
    ),
    Question(_G.WEB, "web.socket", "UNIX socket for users of this host", rare=_always),
    Question(
        _G.WEB, "web.listen", "ADDRESS:PORT to listen on, besides its socket", empty="no TCP",
        more="Users prove who they are by MUNGE, or a proxy tells (docs/security.md).",
    ),
    Question(_G.WEB, "web.operators", "Users who may see and steer all jobs", Form.LIST),
    Question(
        _G.WEB, "web.operator_groups", "Groups whose members may, too", Form.LIST, rare=_always
    ),
    Question(
        _G.HOOKS, "hooks.controller", "Hooks of slurmctld, which tell of ends at once",
        Form.YES_NO, when=lambda job: job.facts.slurm.here,
        more="Without them ajrd learns of the end of a job at its next look, a second later.",
    ),
    Question(
        _G.HOOKS, "hooks.shared_dir", "Folder shared with the nodes, for their hooks",
        more="They tell where steps write their logs, and add what the kernel says: Xid, MCE, OOM.",
    ),
    Question(
        _G.HOOKS, "hooks.edit_slurm_conf", "Put the lines into slurm.conf, and reconfigure",
        Form.YES_NO,
        when=lambda job: job.answers.hooks.controller or bool(job.answers.hooks.shared_dir),
    ),
    Question(_G.HOST, "host.start", "Enable and start the service", Form.YES_NO),
)  # fmt: skip


def of(group: Group) -> tuple[Question, ...]:
    """The questions of a group, in their order."""
    return tuple(question for question in QUESTIONS if question.group is group)


def suggested(answers: Answers, facts: Facts) -> Answers:
    """What to begin with on a host that was never set up."""
    answers = put(answers, "database.socket", facts.mysql_socket or None)
    return put(answers, "hooks.controller", facts.slurm.here)


def value(answers: Answers, key: str) -> Any:
    """The value of a key."""
    section, name = key.split(".")
    return getattr(getattr(answers, section), name)


def put(answers: Answers, key: str, wanted: object) -> Answers:
    """The answers with one value changed; raises ConfigError for a value that cannot be."""
    name, field = key.split(".")
    section: Section = getattr(answers, name)
    try:
        made = type(section).model_validate({**dict(section), field: wanted})
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{said[:1].lower()}{said[1:]}") from None
    return answers.model_copy(update={name: made})


def skipped(question: Question, job: Job) -> Job:
    """As if it had never been answered: what does not apply any more must not be wanted."""
    default = value(Answers(), question.key)
    return replace(job, answers=put(job.answers, question.key, default))


def default_shown(question: Question, job: Job) -> str:
    """What an empty answer stands for, as it would be typed; never a secret."""
    if question.form is not Form.HIDDEN:
        return shown(question, _default(question, job))
    if file := value(job.answers, question.key):
        return f"that in {file}"
    return "as before" if getattr(job.secrets, question.into) else question.empty


def _default(question: Question, job: Job) -> object:
    found = question.better(job)
    return value(job.answers, question.key) if found is None else found


def shown(question: Question, wanted: object) -> str:
    """A value as it would be typed."""
    if wanted is None or wanted == ():
        return question.empty
    if isinstance(wanted, bool):
        return "y" if wanted else "n"
    return ", ".join(wanted) if isinstance(wanted, tuple) else str(wanted)


def answered(question: Question, job: Job, text: str) -> Job:
    """The job with an answer to a question, "" for the default; raises ConfigError."""
    if printable(text) != text:
        raise ConfigError("control characters and invisible ones are not taken")
    if question.form is Form.HIDDEN:
        return _with_secret(question, job, text) if text else job
    text = text.strip()
    wanted = _understood(question, text) if text else _default(question, job)
    return replace(job, answers=put(job.answers, question.key, wanted))


def _with_secret(question: Question, job: Job, text: str) -> Job:
    secrets: Secrets = replace(job.secrets, **{question.into: text})
    return replace(job, secrets=secrets, answers=put(job.answers, question.key, None))


def _understood(question: Question, text: str) -> object:
    nothing = text in (question.empty, _NONE)
    if question.form is Form.YES_NO:
        if text.lower() not in _YES:
            raise ConfigError("y or n")
        return _YES[text.lower()]
    if question.form is Form.CHOICE:
        if text not in question.choices:
            raise ConfigError(f"one of: {', '.join(question.choices)}")
        return text
    if question.form is Form.LIST:
        words = [] if nothing else _COMMA.split(text)
        return tuple(word.strip() for word in words if word.strip())
    return None if nothing else text
