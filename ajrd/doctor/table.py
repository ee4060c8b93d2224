"""All checks in their order, and the documentation that is made from them.

``python -m ajrd.doctor.table >docs/doctor.md`` brings it up to date.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from ajrd.doctor import (
    database,
    files,
    handoff,
    host,
    logs,
    loki,
    service,
    slurm,
    web,
    webhooks,
)
from ajrd.doctor.check import Check, Group

CHECKS: tuple[Check[Any], ...] = (
    *files.CHECKS,
    *slurm.CHECKS,
    *database.CHECKS,
    *logs.CHECKS,
    *loki.CHECKS,
    *webhooks.CHECKS,
    *handoff.CHECKS,
    *web.CHECKS,
    *service.CHECKS,
    *host.CHECKS,
)

_HEAD = """\
# The doctor

`ajrd doctor` looks at everything that the service needs and says, a line each, what it looked at
and what it found: `ok`, `warn` (it works, and something should be done), `fail`, or `skip` (nobody
has asked for it, or it cannot be told). Below a warning or a failure stands the command that mends
it.
Ask as root or as the service's user: others may not read what it has to look at.

    ajrd doctor [--config FILE] [--json] [--bundle FILE.tar.gz [--log FILE] [--with-names]]

| exit code | meaning |
|---|---|
| 0 | nothing fails; there may be warnings |
| 1 | something fails |
| 2 | the configuration, or the command, is wrong |

It changes nothing and needs no running service. All checks run at once, each for ten seconds at
most: what hangs becomes a `fail`, and what depends on it a `skip`. Other services of the site
notice it: Loki is asked a few questions, hosts of webhooks are connected to and sent nothing, the
hardware service is sent GET and no report.

`--bundle` writes a new file, readable by its owner alone, for whoever helps: the same findings,
versions, the configuration, lease, counts, metrics, and the last lines of the service's own log (by
`--log`, else the journal). Passwords, tokens, the users of URLs and all of a webhook's URL but its
host are taken out of every text.
Names of users and the words of the log stay out as well, unless `--with-names` lets them in;
comments of jobs and the lines of their logs are not looked for. Look at it before you pass it on.

The table is made from the checks by `python -m ajrd.doctor.table`.
"""


def markdown() -> str:
    """``docs/doctor.md``."""
    return "\n".join([*_markdown(), ""])


def _markdown() -> Iterator[str]:
    yield _HEAD.rstrip("\n")
    for group in Group:
        yield from ["", f"## {group.value[0].upper()}{group.value[1:]}", ""]
        yield from ["| check | looks at | why, or what is right | if it cannot be looked at |"]
        yield "|---|---|---|---|"
        yield from (_row(check) for check in CHECKS if check.group is group)


def _row(check: Check[Any]) -> str:
    about, why = check.about, " ".join((check.judge.__doc__ or "").split())
    return f"| `{check.name}` | {about} | {why.replace('``', '`')} | `{check.mend}` |"


if __name__ == "__main__":
    click.echo(markdown(), nl=False)
