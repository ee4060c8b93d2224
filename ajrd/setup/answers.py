"""What an administrator wants: the questions of ``ajrd setup``, answered. No secret stands here.

The same model is the file of ``--answers``, and what is kept for the next run. Secrets are given
as names of files, or typed, and then kept apart (:class:`Secrets`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from ajrd.config import Mode
from ajrd.yamlmodel import Section

Port = Annotated[int, Field(ge=1, le=65535)]


class Kind(StrEnum):
    """Where the history is kept."""

    SQLITE = "sqlite"
    MYSQL = "mysql"


class Rights(StrEnum):
    """How the service comes to be allowed to requeue, update and release everybody's jobs.

    ``none``: it only observes. ``given``: the site sees to it. ``accounting``: its user becomes an
    Administrator there. ``slurm-user``: it runs as SlurmUser.
    """

    NONE = "none"
    GIVEN = "given"
    ACCOUNTING = "accounting"
    SLURM_USER = "slurm-user"


class SlurmAnswers(Section):
    """Slurm, and what the service may do there."""

    conf: str | None = Field(
        default=None, description="path of slurm.conf; default: Slurm's own choice"
    )
    bin_dir: str | None = Field(
        default=None, description="folder of Slurm's commands; default: PATH"
    )
    rights: Rights = Field(default=Rights.NONE, description="none, given, accounting or slurm-user")


class RecoveryAnswers(Section):
    """What ajrd may do, and where."""

    mode: Mode = Field(default=Mode.OBSERVE, description="observe or act")
    partitions: tuple[str, ...] = Field(
        default=(), description="partitions in which ajrd may act; empty: all"
    )


class DatabaseAnswers(Section):
    """Where the history is kept; all but ``kind`` is about MySQL or MariaDB."""

    kind: Kind = Field(default=Kind.SQLITE, description="sqlite or mysql")
    host: str = Field(default="localhost", description="host of the server")
    port: Port = Field(default=3306, description="its port")
    socket: str | None = Field(default=None, description="its socket, if it runs on this host")
    name: str = Field(default="ajrd", description="the database")
    user: str = Field(default="ajrd", description="the service's user in it")
    password_file: str | None = Field(
        default=None,
        description="file with the password of that user, if it is there already: made by the"
        " other head node, or by an administrator of databases",
    )
    clients: tuple[str, ...] = Field(
        default=(),
        description="hosts from which the service connects, as MySQL writes them; none: this one,"
        " as the server sees it",
    )
    ca: str | None = Field(
        default=None, description="file with the certificates to trust (PEM): TLS, verified"
    )
    reader: str | None = Field(
        default=None, description="a user for Grafana, who may read the efficiency records alone"
    )
    reader_host: str = Field(default="localhost", description="the host from which it connects")
    admin_user: str | None = Field(
        default=None,
        description="an administrator of the server, for this run alone; default: whoever runs"
        " setup, by the socket",
    )
    admin_password_file: str | None = Field(
        default=None, description="file with the password of that administrator"
    )
    admin_defaults_file: str | None = Field(
        default=None, description="or an option file of MySQL with both (my.cnf)"
    )


class LokiAnswers(Section):
    """Grafana Loki, if logs are shipped there."""

    url: str | None = Field(default=None, description="http(s)://HOST[:PORT][/PREFIX]; none: off")
    tenants: tuple[str, ...] = Field(default=(), description="tenants (X-Scope-OrgID)")
    jobs: tuple[str, ...] = Field(
        default=('{job="slurm"}',), description="selectors of the streams of jobs"
    )
    nodes: tuple[str, ...] = Field(default=(), description="selectors of the nodes' own logs")
    user: str | None = Field(default=None, description="user of basic authentication")
    password_file: str | None = Field(default=None, description="file with that user's password")
    token_file: str | None = Field(default=None, description="or a file with a bearer token")
    ca: str | None = Field(default=None, description="file with the certificates to trust, PEM")


class HardwareAnswers(Section):
    """A service that examines nodes, if there is one."""

    url: str | None = Field(default=None, description="where a node is reported (POST); none: off")
    verdict_url: str | None = Field(default=None, description="where its verdict is asked for")
    token_file: str | None = Field(default=None, description="file with a bearer token")
    ca: str | None = Field(default=None, description="file with the certificates to trust, PEM")


class WebAnswers(Section):
    """Pages, API and metrics."""

    socket: str | None = Field(
        default="/run/ajrd/ajrd.sock", description="the UNIX socket for users of this host"
    )
    listen: str | None = Field(default=None, description="ADDRESS:PORT; none: no TCP")
    operators: tuple[str, ...] = Field(
        default=("root",), description="users who may see and steer all jobs"
    )
    operator_groups: tuple[str, ...] = Field(
        default=(), description="groups whose members may, too"
    )


class HooksAnswers(Section):
    """What Slurm runs to tell ajrd at once."""

    controller: bool = Field(
        default=False, description="the hooks of slurmctld, which runs on this host"
    )
    shared_dir: str | None = Field(
        default=None,
        description="a folder that nodes and head node share, for the hooks of the nodes; none: no"
        " such hooks",
    )
    edit_slurm_conf: bool = Field(
        default=False, description="put the lines into slurm.conf and reconfigure Slurm"
    )


class HostAnswers(Section):
    """This head node, and its twin."""

    pair: bool = Field(
        default=False, description="a second head node runs ajrd on the same database"
    )
    uid: Annotated[int, Field(ge=1, le=4_294_967_293)] | None = Field(
        default=None, description="number of the user ajrd; on a pair the same on both"
    )
    start: bool = Field(default=True, description="enable and start the service")


class Answers(Section):
    """All of them. An empty file is valid: observe, with a SQLite file, on this host alone."""

    host: HostAnswers = HostAnswers()
    slurm: SlurmAnswers = SlurmAnswers()
    recovery: RecoveryAnswers = RecoveryAnswers()
    database: DatabaseAnswers = DatabaseAnswers()
    loki: LokiAnswers = LokiAnswers()
    hardware: HardwareAnswers = HardwareAnswers()
    web: WebAnswers = WebAnswers()
    hooks: HooksAnswers = HooksAnswers()
    extra: dict[str, Any] = Field(
        default={},
        description="what setup does not ask for, as the configuration has it, for example"
        " `{recovery: {settle: 5}}`",
    )

    @field_validator("loki")
    @classmethod
    def _one_way_in(cls, loki: LokiAnswers) -> LokiAnswers:
        if loki.user and loki.token_file:
            raise ValueError("either a user or a token")
        return loki

    @model_validator(mode="after")
    def _fits(self) -> Answers:
        if self.host.pair and self.database.kind is Kind.SQLITE:
            raise ValueError("host.pair needs database.kind mysql: both head nodes must reach it")
        if self.recovery.mode is Mode.ACT and self.slurm.rights is Rights.NONE:
            raise ValueError(
                "recovery.mode act needs slurm.rights: accounting, slurm-user, or given if the"
                " user ajrd is an Administrator of Slurm already"
            )
        return self
