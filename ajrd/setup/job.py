"""What one run of ``ajrd setup`` goes by, and the secrets that it was given."""

from __future__ import annotations

from dataclasses import dataclass, field

from ajrd.setup.answers import Answers
from ajrd.setup.facts import Facts
from ajrd.setup.host import Host


@dataclass(frozen=True, slots=True)
class Secrets:
    """Passwords and tokens that were typed, or read from the files of the answers; "": none.

    Bytes that are no UTF-8 stand in them as surrogates (surrogateescape). ``admin`` is that of the
    database's administrator, used in this run and kept nowhere.
    """

    admin: str = field(default="", repr=False)
    database: str = field(default="", repr=False)
    loki: str = field(default="", repr=False)
    hardware: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Job:
    """The host, what was found on it, and what is wanted."""

    host: Host
    facts: Facts
    answers: Answers
    secrets: Secrets
