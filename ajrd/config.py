"""The site's configuration: YAML in, typed and checked values out.

Every error names the file, the line and the key, and says what would be right. Unknown keys
are errors: a misspelt safety setting must not be ignored.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ajrd.detect.pattern import LITTLE_MEMORY, check
from ajrd.errors import ConfigError
from ajrd.hardware.template import NAMES, REFERENCE, complaint, url_complaint
from ajrd.model import Kind, Occasion
from ajrd.store.address import CREDENTIAL, TIMEOUT, Address, Tls, parse_url
from ajrd.yamlmodel import Section, validated

#: Names among the credentials that systemd hands to the service.
LOKI_PASSWORD, LOKI_TOKEN = "ajrd-loki-password", "ajrd-loki-token"
HARDWARE_TOKEN = "ajrd-hardware-token"  # noqa: S105 -- a name


def _header_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,60}", text):
        raise ValueError(f"{text!r} cannot be the name of a header")
    return text


Seconds = Annotated[float, Field(gt=0, le=86400)]
HeaderName = Annotated[str, AfterValidator(_header_name)]


class Mode(StrEnum):
    """Whether decisions are executed or only written down."""

    OBSERVE = "observe"
    ACT = "act"


class Backend(StrEnum):
    """How to talk to Slurm; ``auto`` takes pyslurm where it fits the controller."""

    AUTO = "auto"
    CLI = "cli"
    PYSLURM = "pyslurm"


class SlurmSection(Section):
    """How to reach Slurm, and how often to look."""

    backend: Backend = Field(default=Backend.AUTO, description="auto, cli or pyslurm")
    conf: str | None = Field(
        default=None, description="path of slurm.conf; default: Slurm's own choice"
    )
    bin_dir: str | None = Field(
        default=None, description="folder of scontrol and squeue; default: PATH"
    )
    timeout: Seconds = Field(default=10.0, description="time limit of one command, seconds")
    poll: Seconds = Field(default=1.0, description="interval of looking at all jobs, seconds")


class RecoverySection(Section):
    """What ajrd may do, and when."""

    mode: Mode = Field(
        default=Mode.OBSERVE, description="observe: decide and write down; act: also do it"
    )
    partitions: tuple[str, ...] = Field(
        default=(), description="partitions in which ajrd may act; empty: all"
    )
    default_requeue_times: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=3, description="max_requeue_times of a directive that names none"
    )
    max_requeue_times: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=10, description="the site's ceiling for max_requeue_times"
    )
    settle: Annotated[float, Field(ge=0, le=600)] = Field(
        default=2.0, description="how long evidence is gathered before a decision, seconds"
    )
    progress_lag: Annotated[float, Field(ge=0, le=600)] = Field(
        default=1.0, description="how much later progress in another log must be to veto, seconds"
    )
    hold_limit: Seconds = Field(default=120.0, description="longest time a job stays held, seconds")
    no_progress_limit: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=2,
        description="attempts in a row that may fail by one cause without getting further; 0: any",
    )
    backoff: Annotated[float, Field(ge=0, le=600)] = Field(
        default=15.0,
        description="how long a job is put off, at first, whose attempts fail at once, seconds",
    )
    store_grace: Annotated[float, Field(ge=0, le=86400)] = Field(
        default=60.0, description="how long a decision waits for a database that is away, seconds"
    )
    lease: Annotated[float, Field(ge=2, le=3600)] | None = Field(
        default=None,
        description="after how long another head node may take over, seconds;"
        " default: slurm.timeout + 10",
    )


class LogsSection(Section):
    """Where step logs are looked for."""

    files: bool = Field(default=True, description="read the files; false: Loki has all of them")
    report_dir: str | None = Field(
        default=None, description="folder in which the step hook reports log files"
    )


class HooksSection(Section):
    """Where the hooks of Slurm tell what has happened; see docs/operations.md."""

    dirs: tuple[str, ...] = Field(
        default=(), description="folders in which hooks leave messages; none: nobody is listened to"
    )
    owners: tuple[str, ...] = Field(
        default=("root", "slurm"),
        description="users whose messages are believed: SlurmUser and SlurmdUser",
    )

    @field_validator("dirs")
    @classmethod
    def _are_absolute(cls, dirs: tuple[str, ...]) -> tuple[str, ...]:
        for folder in dirs:
            if not folder.startswith("/"):
                raise ValueError(f"{folder!r} is not an absolute path")
        return dirs


class TlsSection(Section):
    """TLS to a server; with ``ca`` certificate and host name of the server are verified."""

    ca: str | None = Field(default=None, description="file with the certificates to trust, PEM")
    cert: str | None = Field(default=None, description="file with the client's certificate, PEM")
    key: str | None = Field(default=None, description="file with the key of `cert`, PEM")

    @model_validator(mode="after")
    def _fits(self) -> TlsSection:
        self.files()
        return self

    def files(self) -> Tls:
        """As the store takes it."""
        try:
            return Tls(self.ca, self.cert, self.key)
        except ConfigError as error:
            raise ValueError(str(error)) from None


class DatabaseSection(Section):
    """Where the history is kept, and for how long."""

    url: str = Field(
        default="sqlite:////var/lib/ajrd/ajrd.sqlite",
        description="sqlite:///PATH or mysql://USER@HOST[:PORT]/NAME[?unix_socket=PATH]",
    )
    password_file: str | None = Field(
        default=None,
        description=f"file with the password; default: the systemd credential {CREDENTIAL}",
    )
    tls: TlsSection = TlsSection()
    timeout: Seconds = Field(
        default=TIMEOUT, description="time limit of connecting and of one transaction, seconds"
    )
    keep_days: Annotated[int, Field(ge=1, le=36500)] = Field(
        default=400, description="how long `ajrd db prune` keeps jobs that are over, days"
    )

    @field_validator("url")
    @classmethod
    def _understood(cls, url: str) -> str:
        try:
            parse_url(url)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return url

    def address(self) -> Address:
        """As the store takes it."""
        return Address(self.url, self.password_file, self.tls.files(), self.timeout)


class LokiLabels(Section):
    """Which labels or structured metadata tell what; of several the first that is there counts."""

    job: tuple[str, ...] = Field(
        default=("job_id", "slurm_job_id", "slurm_jobid"), description="the number of the job"
    )
    file: tuple[str, ...] = Field(
        default=("filename", "file"), description="the path of the file a line was read from"
    )
    node: tuple[str, ...] = Field(
        default=("node", "nodename", "hostname", "host"), description="the node's name"
    )

    @field_validator("job", "file", "node")
    @classmethod
    def _are_labels(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(r"[a-zA-Z_]\w{0,100}", name, re.ASCII):
                raise ValueError(f"{name!r} cannot be the name of a label")
        return names


class LokiAuth(Section):
    """Who ajrd is to Loki: a user with a password, or a token."""

    user: str | None = Field(default=None, description="user of basic authentication")
    password_file: str | None = Field(
        default=None,
        description=f"file with that user's password; default: the credential {LOKI_PASSWORD}",
    )
    token_file: str | None = Field(
        default=None,
        description=f"file with a bearer token; default: the credential {LOKI_TOKEN}",
    )


class LokiSection(Section):
    """Where compute nodes ship their logs to, and what of it is theirs."""

    url: str | None = Field(
        default=None, description="http(s)://HOST[:PORT][/PREFIX] of Loki; without it: no Loki"
    )
    tenants: tuple[str, ...] = Field(
        default=(), description="tenants (X-Scope-OrgID), each read by itself; none: no header"
    )
    jobs: tuple[str, ...] = Field(
        default=('{job="slurm"}',), description="selectors of the streams of jobs"
    )
    nodes: tuple[str, ...] = Field(
        default=(),
        description="selectors of the nodes' own logs: kernel, syslog; for nodes that jobs have"
        " to themselves",
    )
    labels: LokiLabels = LokiLabels()
    file_pattern: str | None = Field(
        default=None,
        description="where file names hold the job's number: a pattern with (?P<job>...);"
        " default: anywhere",
    )
    line_pattern: str | None = Field(
        default=None, description="the same for lines of streams that tell neither job nor file"
    )
    auth: LokiAuth = LokiAuth()
    tls: TlsSection = TlsSection()
    tail: bool = Field(default=True, description="follow live; without it the sweep alone finds")
    interval: Seconds = Field(default=5.0, description="between two sweeps, seconds")
    overlap: Seconds = Field(
        default=60.0, description="how much each sweep reads again, for late lines, seconds"
    )
    late: Seconds = Field(
        default=3600.0,
        description="how late a line may at most come: so much is read again every 5 minutes,"
        " seconds",
    )
    lag: Annotated[float, Field(ge=0, le=600)] = Field(
        default=2.0, description="how long shippers take; an ended job is waited for, seconds"
    )
    window: Seconds = Field(default=3600.0, description="longest stretch of one query, seconds")
    limit: Annotated[int, Field(ge=100, le=1_000_000)] = Field(
        default=5000, description="entries of one answer; not over Loki's own limit"
    )
    query_length: Annotated[int, Field(ge=500, le=100_000)] = Field(
        default=4000, description="characters of one query; longer filters become several"
    )
    timeout: Seconds = Field(default=30.0, description="time limit of one request, seconds")

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("is not http(s)://HOST[:PORT][/PREFIX]")
        if parts.password or parts.username:
            raise ValueError("must not hold a user or a password: see `loki.auth`")
        return url.rstrip("/") if url else None

    @field_validator("tenants")
    @classmethod
    def _are_tenants(cls, tenants: tuple[str, ...]) -> tuple[str, ...]:
        for tenant in tenants:
            if not re.fullmatch(r"[\w!.*'()|-]{1,150}", tenant, re.ASCII):
                raise ValueError(f"{tenant!r} cannot be a tenant")
        return tenants

    @field_validator("jobs", "nodes")
    @classmethod
    def _are_selectors(cls, selectors: tuple[str, ...]) -> tuple[str, ...]:
        for selector in selectors:
            if not (selector.startswith("{") and selector.rstrip().endswith("}")):
                raise ValueError(f'{selector!r} is not a selector like {{job="slurm"}}')
        return selectors

    @field_validator("file_pattern", "line_pattern")
    @classmethod
    def _names_the_job(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            check(pattern, sensitive=True, re2_only=True, memory=LITTLE_MEMORY)
            if "(?P<job>" not in pattern:
                raise ValueError("needs a group (?P<job>...)")
        return pattern

    @model_validator(mode="after")
    def _fits(self) -> LokiSection:
        if not self.overlap <= self.late:
            raise ValueError("overlap must not be longer than late")
        if self.auth.user and self.auth.token_file:
            raise ValueError("auth: either a user or a token")
        return self


class ProxySection(Section):
    """A reverse proxy that has found out who somebody is."""

    addresses: tuple[str, ...] = Field(
        default=(), description="addresses or networks from which its header is believed"
    )
    header: HeaderName = Field(
        default="X-Remote-User", description="the header in which it names the user"
    )

    @field_validator("addresses")
    @classmethod
    def _are_networks(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            ip_network(address, strict=False)
        return addresses


class WebSection(Section):
    """Where pages, API and metrics are served, and to whom."""

    socket: str | None = Field(
        default=None, description="path of the UNIX socket; the kernel says who asks"
    )
    listen: str | None = Field(
        default=None, description="ADDRESS:PORT for MUNGE credentials or a proxy; none: no TCP"
    )
    operators: tuple[str, ...] = Field(
        default=("root",), description="users who may see and steer all jobs"
    )
    operator_groups: tuple[str, ...] = Field(
        default=(), description="groups whose members are operators, too"
    )
    proxy: ProxySection = ProxySection()
    anonymous_metrics: bool = Field(
        default=False, description="serve /metrics and /readyz on TCP to anybody"
    )
    anonymous_read: bool = Field(
        default=False, description="let anybody on TCP read pages and API; nobody may steer so"
    )
    base_path: str = Field(default="", description="prefix under which a proxy serves it: /ajrd")
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=600, description="requests of one user or address in a minute"
    )

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, listen: str | None) -> str | None:
        host, _, port = (listen or "127.0.0.1:1").rpartition(":")
        if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
            raise ValueError("is not ADDRESS:PORT")
        return listen

    @field_validator("base_path")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        if path and not re.fullmatch(r"(?:/[\w.~-]+)+", path, re.ASCII):
            raise ValueError("is not a path like /ajrd, without a slash at its end")
        return path


class EfficiencySection(Section):
    """What a recovery is compared with."""

    manual_baseline: Annotated[float, Field(ge=0, le=30 * 86400)] = Field(
        default=1800.0,
        description="how long a failed job waits at this site until somebody resubmits it, seconds",
    )


def _service_url(url: str) -> str:
    """``url`` if it may be that of a service; a place to fill in may stand behind its host."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError("is not http(s)://HOST[:PORT]/PATH")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or a password: secrets come from files")
    if re.search(r"[^!-~]", url):
        raise ValueError("holds characters that a URL must not have: write them as %XX")
    return url


class DrainSection(Section):
    """Draining suspected nodes, in act mode."""

    enabled: bool = Field(default=False, description="drain suspected nodes (scontrol update)")
    kinds: tuple[Kind, ...] = Field(
        default=(Kind.HARDWARE,), description="kinds of trouble for which a node is drained"
    )
    max_nodes: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=2, description="nodes that may be drained by ajrd at the same time"
    )
    max_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.2, description="share of each partition that may be, rounded down to nodes"
    )
    keep_nodes: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1, description="usable nodes that stay in every partition"
    )
    cool_down: Annotated[float, Field(ge=0, le=30 * 86400)] = Field(
        default=600.0, description="between two nodes, seconds"
    )
    fresh: Seconds = Field(default=3600.0, description="an older suspicion drains nothing, seconds")


class HardwareApiSection(Section):
    """A hardware-recovery service that is told of suspected nodes and gives a verdict."""

    url: str | None = Field(default=None, description="where a node is reported (POST); none: off")
    token_file: str | None = Field(
        default=None,
        description=f"file with a bearer token; default: the credential {HARDWARE_TOKEN}",
    )
    kinds: tuple[Kind, ...] = Field(
        default=(Kind.HARDWARE, Kind.NODE), description="kinds of trouble that are reported"
    )
    body: dict[str, Any] = Field(
        default={
            "node": "{node}",
            "kind": "{kind}",
            "cause": "{cause}",
            "job": "{job_id}",
            "at": "{at}",
        },
        description="JSON of a report, with places to fill such as {node}",
    )
    idempotency_header: HeaderName = Field(
        default="Idempotency-Key", description="header with a key that stays the same in retries"
    )
    verdict_url: str | None = Field(
        default=None, description="where its verdict is asked for (GET), with {reference}, {node}"
    )
    reference_field: str = Field(
        default="id", description="path of the report's name in its answer: result.id"
    )
    verdict_field: str = Field(default="state", description="path of the verdict in its answers")
    healthy: tuple[str, ...] = Field(default=("healthy",), description="its words for healthy")
    faulty: tuple[str, ...] = Field(default=("faulty",), description="its words for faulty")
    pending: tuple[str, ...] = Field(default=("pending",), description="its words for neither yet")
    tls: TlsSection = TlsSection()
    timeout: Seconds = Field(default=10.0, description="time limit of one request, seconds")
    poll: Seconds = Field(default=60.0, description="between two questions for a verdict, seconds")
    give_up_after: Annotated[float, Field(gt=0, le=90 * 86400)] = Field(
        default=86400.0, description="after a suspicion, if there is no verdict, seconds"
    )

    @field_validator("url", "verdict_url")
    @classmethod
    def _is_a_service(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None:
            _service_url(url)
            names = NAMES | {REFERENCE} if info.field_name == "verdict_url" else NAMES
            if wrong := url_complaint(url, names):
                raise ValueError(wrong)
        return url

    @field_validator("body")
    @classmethod
    def _can_be_filled(cls, body: dict[str, Any]) -> dict[str, Any]:
        if wrong := complaint(body):
            raise ValueError(wrong)
        try:
            json.dumps(body)
        except (TypeError, ValueError) as error:
            raise ValueError(f"is not JSON: {error}; quote dates") from None
        return body

    @model_validator(mode="after")
    def _words_differ(self) -> HardwareApiSection:
        words = [word.lower() for word in (*self.healthy, *self.faulty, *self.pending)]
        for word in words:
            if words.count(word) > 1:
                raise ValueError(f"{word!r} stands for two verdicts")
        return self


class HardwareSection(Section):
    """What happens to nodes that broken attempts point at."""

    drain: DrainSection = DrainSection()
    api: HardwareApiSection = HardwareApiSection()
    faulty_for: Annotated[float, Field(ge=0, le=365 * 86400)] = Field(
        default=7 * 86400.0, description="how long requeues avoid a node called faulty, seconds"
    )
    healthy_for: Annotated[float, Field(ge=0, le=365 * 86400)] = Field(
        default=3600.0,
        description="how long evidence against a node called healthy is not believed, seconds",
    )


class Webhook(Section):
    """One endpoint that is told of events, signed."""

    name: str = Field(description="short name: a-z, 0-9 and -; its cursor is kept under it")
    url: str = Field(description="http(s)://HOST[:PORT]/PATH to which events are posted")
    secret_file: str | None = Field(
        default=None,
        description="file with the secret of the signature; default: the credential"
        " ajrd-webhook-NAME",
    )
    events: tuple[Occasion, ...] = Field(
        default=tuple(Occasion), description="job.recovered, job.given_up, node.suspected"
    )
    partitions: tuple[str, ...] = Field(default=(), description="of jobs in these; empty: all")
    users: tuple[str, ...] = Field(default=(), description="of jobs of these; empty: all")
    tls: TlsSection = TlsSection()
    timeout: Seconds = Field(default=10.0, description="time limit of one request, seconds")
    give_up_after: Annotated[float, Field(gt=0, le=30 * 86400)] = Field(
        default=86400.0, description="after an event that is not taken, seconds"
    )

    @field_validator("name")
    @classmethod
    def _is_short(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
            raise ValueError(f"{name!r} is not made of a-z, 0-9 and -")
        return name

    @field_validator("url")
    @classmethod
    def _is_a_service(cls, url: str) -> str:
        return _service_url(url)


class NotifySection(Section):
    """Who is told of what happens."""

    webhooks: tuple[Webhook, ...] = Field(default=(), description="endpoints; see docs/webhooks.md")

    @field_validator("webhooks")
    @classmethod
    def _names_differ(cls, webhooks: tuple[Webhook, ...]) -> tuple[Webhook, ...]:
        names = [webhook.name for webhook in webhooks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two webhooks are called {name}")
        return webhooks


class LogFormat(StrEnum):
    """How the service's own log looks; ``auto``: readable on a terminal, else JSON lines."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class LoggingSection(Section):
    """The service's own log, on standard error."""

    level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        description="the least that is logged",
    )
    format: LogFormat = Field(default=LogFormat.AUTO, description="auto, text or json")


class Config(Section):
    """The whole file. Every key has a default; an empty file is a valid configuration."""

    slurm: SlurmSection = SlurmSection()
    recovery: RecoverySection = RecoverySection()
    logs: LogsSection = LogsSection()
    hooks: HooksSection = HooksSection()
    loki: LokiSection = LokiSection()
    database: DatabaseSection = DatabaseSection()
    web: WebSection = WebSection()
    efficiency: EfficiencySection = EfficiencySection()
    hardware: HardwareSection = HardwareSection()
    notify: NotifySection = NotifySection()
    rules_dirs: tuple[str, ...] = Field(default=(), description="folders of site rules (rules.d)")
    logging: LoggingSection = LoggingSection()

    @model_validator(mode="after")
    def _lease_outlasts_a_command(self) -> Config:
        """Within a lease there must be time to begin commands and to see them end."""
        lease, least = self.recovery.lease, self.slurm.timeout + 3
        if lease is not None and lease < least:
            raise ValueError(
                f"recovery.lease ({lease:g} s) must be at least slurm.timeout + 3 s ({least:g} s)"
            )
        return self

    @model_validator(mode="after")
    def _logs_are_read(self) -> Config:
        if not (self.logs.files or self.loki.url):
            raise ValueError("logs.files is off and loki.url is not set: no log would be read")
        return self


def load(path: Path) -> Config:
    """Reads and checks a file; raises :class:`~ajrd.errors.ConfigError` with every fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        refused = isinstance(error, PermissionError)
        hint = "; ajrd doctor, asked as root, says what helps" if refused else ""
        raise ConfigError(f"cannot read the configuration {path}: {error}{hint}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Config:
    """Checks the text of a configuration; ``name`` stands in messages for the file."""
    return validated(text, name, Config)
