"""The wanted state: from the answers and what was found on the host to the texts of files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml

from ajrd import share
from ajrd.config import DatabaseSection, HooksSection, LokiSection, WebSection
from ajrd.errors import ConfigError
from ajrd.setup.answers import Answers, DatabaseAnswers, Kind, Rights
from ajrd.setup.facts import Facts
from ajrd.setup.job import Secrets
from ajrd.store.address import Address, Tls
from ajrd.store.administration import Admin

HOME = "/etc/ajrd"
CONFIG = f"{HOME}/config.yaml"
ANSWERS = f"{HOME}/setup-answers.yaml"
RULES = f"{HOME}/rules.d"
HOOKS = f"{HOME}/hooks"
CREDENTIALS = f"{HOME}/credentials"
DB_PASSWORD = f"{CREDENTIALS}/db-password"
LOKI_PASSWORD = f"{CREDENTIALS}/loki-password"
LOKI_TOKEN = f"{CREDENTIALS}/loki-token"
HARDWARE_TOKEN = f"{CREDENTIALS}/hardware-token"
READER_PASSWORD = f"{CREDENTIALS}/grafana-password"
SPOOL = "/var/spool/ajrd"
MESSAGES = f"{SPOOL}/hooks"
#: What the service fills, and setup does not.
STATE = ("/var/lib/ajrd", "/var/cache/ajrd", SPOOL)
SERVICE, WATCHDOG = "ajrd.service", "ajrd-watchdog.service"
#: The user of the units as they are delivered.
USER = "ajrd"
_PROGRAM = "/usr/bin/ajrd"


# Slurm, users, database


def service_user(answers: Answers, facts: Facts) -> str:
    """Who the service runs as."""
    return facts.slurm.user if answers.slurm.rights is Rights.SLURM_USER else USER


def shared(answers: Answers, name: str) -> str | None:
    """A folder below the one that nodes and head node share: hooks, messages or steps."""
    top = answers.hooks.shared_dir
    return f"{top.rstrip('/')}/{name}" if top else None


def database_url(answers: DatabaseAnswers, facts: Facts) -> str:
    """As ``database.url`` of the configuration names it."""
    if answers.kind is Kind.SQLITE:
        return str(DatabaseSection().url)
    socket = answers.socket or (facts.mysql_socket if answers.host == "localhost" else "")
    host = f"[{answers.host}]" if ":" in answers.host else answers.host
    port = "" if answers.port == 3306 else f":{answers.port}"
    way = f"?unix_socket={quote(socket)}" if socket else ""
    return f"mysql://{quote(answers.user, '')}@{host}{port}/{quote(answers.name, '')}{way}"


def address(answers: DatabaseAnswers, facts: Facts, password_file: str | None) -> Address:
    """How the service reaches its database; raises ConfigError for words that cannot be one."""
    return Address(database_url(answers, facts), password_file, Tls(ca=answers.ca))


def admin(answers: DatabaseAnswers, facts: Facts, secrets: Secrets) -> Admin:
    """How setup gets in as the database's administrator.

    Whoever is named nowhere is whoever runs setup, by the socket of a server on this host.
    """
    named = answers.admin_user or answers.admin_defaults_file
    here = answers.host in ("127.0.0.1", "::1", facts.hostname, facts.hostname.partition(".")[0])
    return Admin(
        user=answers.admin_user,
        password=secrets.admin,
        password_file=_path(answers.admin_password_file),
        defaults_file=_path(answers.admin_defaults_file),
        socket=facts.mysql_socket if here and facts.mysql_socket and not named else None,
    )


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None


# The configuration


class _Entry(NamedTuple):
    key: str
    value: object
    comment: str = ""


def config(answers: Answers, facts: Facts) -> str:
    """``/etc/ajrd/config.yaml``: what was asked for, and nothing that is the default anyway.

    Raises ConfigError for a key of ``extra`` that is an answer of its own.
    """
    head = [
        f"# ajrd on {facts.hostname}, written by `ajrd setup`; its answers: {ANSWERS}",
        "# Every other key: docs/configuration.md. Check a change with: ajrd config check",
    ]
    extra = dict(answers.extra)
    if "rules_dirs" in extra:
        raise ConfigError(f"extra.rules_dirs: setup makes {RULES} for the rules of this site")
    sections = [
        (name, _with_extra(name, entries, extra.pop(name, None)))
        for name, entries in _sections(answers, facts)
    ]
    sections += [(name, _with_extra(name, [], more)) for name, more in extra.items()]
    rules = f"rules_dirs: [{RULES}]   # rules of this site: docs/rules.md"
    parts = (_section(name, entries) for name, entries in sections if entries)
    return "\n\n".join(["\n".join(head), *parts, rules]) + "\n"


def _with_extra(name: str, entries: Sequence[_Entry], extra: object) -> list[_Entry]:
    """What is set in a section, and what people want in it besides."""
    own = {entry.key: entry for entry in entries if entry.value}
    if extra is None:
        return list(own.values())
    if not isinstance(extra, Mapping):
        raise ConfigError(f"extra.{name}: must hold keys and values, as in the configuration")
    for key, value in extra.items():
        known = own.get(key)
        own[key] = _Entry(key, _both(f"{name}.{key}", known.value if known else None, value))
    return list(own.values())


def _both(name: str, own: object, extra: object) -> object:
    """One value of two; raises ConfigError if that cannot be."""
    if own is None:
        return extra
    if isinstance(own, Mapping) and isinstance(extra, Mapping):
        twice = [key for key in extra if key in own]
        if not twice:
            return {**own, **extra}
        name = f"{name}.{twice[0]}"
    raise ConfigError(f"extra.{name}: setup has an answer for that: docs/answers.md")


def _sections(answers: Answers, facts: Facts) -> Iterator[tuple[str, list[_Entry]]]:
    slurm, recovery = answers.slurm, answers.recovery
    yield "slurm", [_Entry("conf", slurm.conf), _Entry("bin_dir", slurm.bin_dir)]
    yield (
        "recovery",
        [
            _Entry("mode", recovery.mode.value, "observe: decide and write down; act: also do it"),
            _Entry("partitions", recovery.partitions, "where it may act; without: everywhere"),
        ],
    )
    yield "logs", [_Entry("report_dir", shared(answers, "steps"), "where srun-prolog reports")]
    yield "hooks", _hooks(answers, facts)
    yield "loki", _loki(answers)
    yield "database", _database(answers, facts)
    yield "web", _web(answers)
    yield "hardware", _hardware(answers)


def _hooks(answers: Answers, facts: Facts) -> list[_Entry]:
    messages = shared(answers, "messages")
    dirs = (MESSAGES,) * answers.hooks.controller + ((messages,) if messages else ())
    owners = hook_owners(facts)
    usual = set(owners) == set(HooksSection().owners)
    return [
        _Entry("dirs", dirs, "where hooks leave messages"),
        _Entry("owners", () if not dirs or usual else owners, "SlurmUser and SlurmdUser"),
    ]


def hook_owners(facts: Facts) -> tuple[str, ...]:
    """Whose messages are hooks': SlurmdUser's, SlurmUser's."""
    slurmd = facts.slurm.settings.get("SlurmdUser", "").partition("(")[0] or "root"
    return tuple(sorted({slurmd, facts.slurm.user or "slurm"}))


def _loki(answers: Answers) -> list[_Entry]:
    loki = answers.loki
    if not loki.url:
        return []
    auth: dict[str, str] = {}
    if loki.user:
        auth = {"user": loki.user, "password_file": LOKI_PASSWORD}
    elif loki.token_file:
        auth = {"token_file": LOKI_TOKEN}
    return [
        _Entry("url", loki.url),
        _Entry("tenants", loki.tenants, "X-Scope-OrgID"),
        _Entry("jobs", () if loki.jobs == LokiSection().jobs else loki.jobs, "streams of jobs"),
        _Entry("nodes", loki.nodes, "the nodes' own logs"),
        _Entry("auth", auth),
        _Entry("tls", {"ca": loki.ca} if loki.ca else {}),
    ]


def _database(answers: Answers, facts: Facts) -> list[_Entry]:
    database = answers.database
    entries = [_Entry("url", database_url(database, facts))]
    if database.kind is Kind.MYSQL:
        entries.append(_Entry("password_file", DB_PASSWORD))
        entries.append(_Entry("tls", {"ca": database.ca} if database.ca else {}))
    return entries


def _web(answers: Answers) -> list[_Entry]:
    web, usual = answers.web, WebSection()
    operators = () if web.operators == usual.operators else web.operators
    return [
        _Entry("socket", web.socket, "for every user of this host; the kernel says who asks"),
        _Entry("listen", web.listen, "MUNGE credentials, or a proxy: docs/security.md"),
        _Entry("operators", operators, "who may see and steer all jobs"),
        _Entry("operator_groups", web.operator_groups),
    ]


def _hardware(answers: Answers) -> list[_Entry]:
    hardware = answers.hardware
    if not hardware.url:
        return []
    api = {
        "url": hardware.url,
        "token_file": HARDWARE_TOKEN if hardware.token_file else None,
        "verdict_url": hardware.verdict_url,
        "tls": {"ca": hardware.ca} if hardware.ca else None,
    }
    return [_Entry("api", {key: value for key, value in api.items() if value}, "")]


def _section(name: str, entries: Sequence[_Entry]) -> str:
    return "\n".join([f"{name}:", *(line for entry in entries for line in _lines(entry))])


def _lines(entry: _Entry) -> Iterator[str]:
    if isinstance(entry.value, Mapping) and entry.value:
        yield f"  {entry.key}:"
        for key, value in entry.value.items():
            yield f"    {key}: {_flow(value)}"
        return
    comment = f"   # {entry.comment}" if entry.comment else ""
    yield f"  {entry.key}: {_flow(entry.value)}{comment}"


def _flow(value: object) -> str:
    """A value as YAML writes it in one line, in ASCII: of its escapes none can be misread."""
    plain: Any = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump([plain], default_flow_style=True, width=1_000_000)
    return text.strip()[1:-1]


# The answers, kept


def kept_answers(answers: Answers, uid: int | None) -> str:
    """The answers for the next run: without an administrator, secrets where they are kept now."""
    database = answers.database.model_copy(
        update={
            "password_file": DB_PASSWORD if answers.database.kind is Kind.MYSQL else None,
            "admin_user": None,
            "admin_password_file": None,
            "admin_defaults_file": None,
        }
    )
    loki = answers.loki.model_copy(
        update={
            "password_file": LOKI_PASSWORD if answers.loki.user else None,
            "token_file": LOKI_TOKEN if answers.loki.token_file else None,
        }
    )
    hardware = answers.hardware.model_copy(
        update={"token_file": HARDWARE_TOKEN if answers.hardware.token_file else None}
    )
    host = answers.host.model_copy(update={"uid": uid} if uid else {})
    kept = answers.model_copy(
        update={"database": database, "loki": loki, "hardware": hardware, "host": host}
    )
    values = kept.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(values, sort_keys=False) if values else ""
    return f"# Answers of `ajrd setup`; the same again: ajrd setup --answers {ANSWERS}\n{text}"


# systemd


def unit(name: str, facts: Facts) -> str:
    """A unit as it is delivered, with the program where it is on this host."""
    text = share.path(f"systemd/{name}").read_text(encoding="utf-8")
    return text.replace(_PROGRAM, facts.program)


def sysusers(uid: int | None) -> str:
    """The user of the units, with its number where one is wanted."""
    text = share.path("systemd/ajrd.sysusers").read_text(encoding="utf-8")
    return text.replace(f"u {USER} - ", f"u {USER} {uid or '-'} ")


def tmpfiles(user: str, group: str) -> str:
    """The folders that hooks write into, for the user of the service."""
    text = share.path("systemd/ajrd.tmpfiles").read_text(encoding="utf-8")
    return text.replace(f" {USER} {USER} ", f" {user} {group} ")


def drop_in(name: str, answers: Answers, facts: Facts, group: str) -> str:
    """What a unit has to say besides; "" if that is nothing."""
    lines = []
    if answers.slurm.rights is Rights.SLURM_USER:
        lines += [f"User={facts.slurm.user}", f"Group={group}"]
    if name == WATCHDOG:
        lines += _watchdog(answers, facts)
    elif messages := shared(answers, "messages"):
        lines.append(f"ReadWritePaths={_word(f'-{messages}')}")
    if not lines:
        return ""
    return "\n".join(["# Written by `ajrd setup`.", "[Service]", *lines]) + "\n"


def _watchdog(answers: Answers, facts: Facts) -> list[str]:
    """It reads no configuration: what it must know of Slurm stands in its command."""
    options = {"--slurm-conf": answers.slurm.conf, "--bin-dir": answers.slurm.bin_dir}
    words = [word for key, value in options.items() if value for word in (key, _word(value))]
    if not words:
        return []
    return ["ExecStart=", f"ExecStart={facts.program} watchdog {' '.join(words)}"]


def _word(text: str) -> str:
    """One word of a unit: systemd.service(5), systemd.unit(5) on specifiers."""
    if not text.isprintable():
        raise ConfigError(f"{text!r} cannot stand in a unit")
    text = text.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%$+=:,./-]+", text, re.ASCII):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
