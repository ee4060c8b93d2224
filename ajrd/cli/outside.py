"""Why a job that ajrd has no record of is not managed: asked of Slurm and the policy."""

from __future__ import annotations

import asyncio

from ajrd.config import Config
from ajrd.policy.directive import NotManaged, parse_directive
from ajrd.settings import limits_of
from ajrd.slurm.select import connect


def explain_from_slurm(job_id: str, config: Config) -> dict[str, str] | None:
    """State and reason of a job that only Slurm knows; None if Slurm does not know it either."""
    return asyncio.run(_explain(job_id, config))


async def _explain(job_id: str, config: Config) -> dict[str, str] | None:
    slurm = await connect(
        conf=config.slurm.conf,
        bin_dir=config.slurm.bin_dir,
        timeout=config.slurm.timeout,
        prefer="cli",
    )
    try:
        seen = await slurm.job(job_id)
    finally:
        await slurm.close()
    if seen is None:
        return None
    directive = parse_directive(seen.comment, limits_of(config))
    note = (
        str(directive)
        if isinstance(directive, NotManaged)
        else "not seen by the service yet, or somebody else's"
    )
    return {"job_id": job_id, "state": seen.state.value, "managed": "no", "note": note}
