"""Would the service that examines nodes listen to ajrd?"""

from __future__ import annotations

import asyncio

from ajrd.config import HardwareApiSection
from ajrd.errors import RemoteUnavailable
from ajrd.hardware.checkup import tried
from ajrd.setup.job import Job
from ajrd.setup.trial import REQUEST, Tried, Wrong, checked, held, tls

#: What a message is about, by words in it; the first that fits.
_KEYS = (
    ("token", "hardware.token_file"),
    ("TLS", "hardware.ca"),
    ("verdict_url", "hardware.verdict_url"),
)


async def try_hardware(job: Job) -> Tried:
    """Asks it, and reports nothing; raises Wrong."""
    answers = job.answers.hardware
    if not answers.url:
        return Tried()
    trusted = await asyncio.to_thread(tls, job, "hardware.ca")
    with held(job.secrets.hardware) as file:
        section = checked(
            "hardware", HardwareApiSection, url=answers.url, verdict_url=answers.verdict_url,
            token_file=file, tls=trusted, timeout=REQUEST,
        )  # fmt: skip
        try:
            return Tried((await tried(section),))
        except RemoteUnavailable as error:
            said = str(error).replace("hardware.api.", "hardware.")
            key = next((key for word, key in _KEYS if word in said), "hardware.url")
            raise Wrong(key, said) from None
