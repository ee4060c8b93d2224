"""Is the Loki that was named there, does it let ajrd read, and does it have lines of jobs?"""

from __future__ import annotations

import asyncio

from ajrd.config import LokiAuth, LokiSection
from ajrd.errors import ConfigError, LokiDenied, LokiRefused, LokiUnavailable
from ajrd.loki.checkup import client_of, newest
from ajrd.loki.client import Loki
from ajrd.setup.job import Job
from ajrd.setup.trial import REQUEST, Tried, Wrong, checked, held, tls

#: Minutes for which it is asked whether it has lines.
MINUTES = 10


async def try_loki(job: Job) -> Tried:
    """Asks it as each tenant; raises Wrong."""
    answers = job.answers.loki
    if not answers.url:
        return Tried()
    trusted = await asyncio.to_thread(tls, job, "loki.ca")
    with held(job.secrets.loki) as file:
        section = checked(
            "loki", LokiSection, url=answers.url, tenants=answers.tenants, jobs=answers.jobs,
            nodes=answers.nodes, tls=trusted, timeout=REQUEST,
            auth=LokiAuth(
                user=answers.user,
                password_file=file if answers.user else None,
                token_file=None if answers.user else file,
            ),
        )  # fmt: skip
        tenants = section.tenants or ("",)
        every = [await _tenant(section, tenant) for tenant in tenants]
    return Tried(
        tuple(said for each in every for said in each.good),
        tuple(said for each in every for said in each.doubts),
    )


async def _tenant(section: LokiSection, tenant: str) -> Tried:
    whose = f" as {tenant}" if tenant else ""
    try:
        client = client_of(section, tenant)
    except ConfigError as error:
        raise Wrong("loki.ca", str(error)) from None
    try:
        await client.ready()
        version = await client.version()
        doubts = [said for name in section.jobs if (said := await _doubt(client, section, name))]
        doubts += [said for name in section.nodes if (said := await _doubt(client, section, name))]
    except LokiUnavailable as error:
        raise Wrong(_loki_key(section, error), f"{error}{whose}") from None
    finally:
        await client.close()
    return Tried((f"Loki {version} is ready{whose}",), tuple(f"{said}{whose}" for said in doubts))


def _loki_key(section: LokiSection, error: LokiUnavailable) -> str:
    """Which answer is wrong."""
    if isinstance(error, LokiDenied):
        if not section.tenants and "org id" in str(error):
            return "loki.tenants"
        if section.auth.user:
            return "loki.password_file"
        return "loki.token_file" if section.auth.token_file else "loki.user"
    if isinstance(error, LokiRefused) and "TLS" in str(error):
        return "loki.ca"
    return "loki.jobs" if "parse error" in str(error) else "loki.url"


async def _doubt(client: Loki, section: LokiSection, selector: str) -> str:
    seen = await newest(client, section, selector, MINUTES)
    if not seen.lines:
        return f"{selector} has no line of the last {MINUTES} minutes: is anything shipped there?"
    if not seen.useful:
        return f"no line of {selector} names its job: see loki.labels in docs/loki.md"
    return ""
