"""What Slurm's error texts mean: slurmctld refused, or slurmctld was not reached.

The texts stand in ``src/common/slurm_errno.c`` and have not changed from 22.05 to 25.11, or are the
C library's for a connection that breaks; most were seen from a real Slurm 22.05.
"""

from __future__ import annotations

from ajrd.errors import AjrdError, SlurmRejected, SlurmUnavailable
from ajrd.slurm.base import Refusal

#: The answer of a slurmctld that was reached and does not know the job.
_UNKNOWN_JOB = ("invalid job id specified",)

_UNREACHABLE = {
    "unable to contact slurm controller": "check that slurmctld runs (scontrol ping)",
    "munge encode failed": "check that munged runs and that its socket can be opened",
    "protocol authentication error": "check munged here and on the controller's host",
    "munge decode failed": "check the munge keys and the clocks",
    "could not establish a configuration source": "set slurm.conf or its path",
    "unable to process configuration file": "check the path and the contents of slurm.conf",
    "unable to contact": "check that slurmctld runs (scontrol ping)",
    "unexpected message received": "check slurmctld (scontrol requeue says so when it is away)",
    "zero bytes were transmitted": "check slurmctld's log and the versions on both sides",
    "transport endpoint": "check that slurmctld runs (scontrol ping)",
    "connection refused": "check that slurmctld runs (scontrol ping)",
    "connection reset": "check that slurmctld runs (scontrol ping)",
    "connection timed out": "check the network to slurmctld's host",
    "broken pipe": "check that slurmctld runs (scontrol ping)",
    "no route to host": "check the network to slurmctld's host",
    "network is unreachable": "check the network to slurmctld's host",
    "communication connection failure": "check that slurmctld runs (scontrol ping)",
    "communication shutdown failure": "check that slurmctld runs (scontrol ping)",
    "message send failure": "check that slurmctld runs (scontrol ping)",
    "message receive failure": "check that slurmctld runs (scontrol ping)",
    "can't find an address": "check slurm.conf and the name service",
    "resource temporarily unavailable": "this host or slurmctld's is overloaded",
    "cannot allocate memory": "this host or slurmctld's is out of memory",
    "rate limit exceeded": "slurmctld limits requests (rl_enable); raise slurm.poll",
    "socket timed out": "slurmctld is overloaded or hung; check sdiag",
    "timed out on send/recv": "slurmctld is overloaded or hung; check sdiag",
    "in standby mode": "the primary slurmctld is gone and the backup has not taken over",
    "incompatible versions": "the Slurm commands and slurmctld have different versions",
}

_REFUSALS = (
    ("requested operation is presently disabled", Refusal.REQUEUE_DISABLED),
    ("only batch jobs are accepted", Refusal.NOT_BATCH),
    ("job is pending execution", Refusal.WRONG_STATE),
    ("already completing or completed", Refusal.WRONG_STATE),
    ("already finished", Refusal.WRONG_STATE),
    ("no longer pending execution", Refusal.WRONG_STATE),
    ("permission denied", Refusal.NOT_PERMITTED),
    ("invalid user id", Refusal.NOT_PERMITTED),
    ("can not be altered now", Refusal.WRONG_STATE),
    ("pending scheduler release", Refusal.WRONG_STATE),
)


def unknown_job(text: str) -> bool:
    """True if ``text`` says that the job is not known (or no longer: MinJobAge)."""
    return any(part in text.lower() for part in _UNKNOWN_JOB)


def as_error(doing: str, text: str) -> AjrdError:
    """The error for a command that failed with ``text``; ``doing`` names command and job."""
    lowered = text.lower()
    said = " / ".join(text.split("\n"))[:500].strip(" /") or "no message"
    for part, advice in _UNREACHABLE.items():
        if part in lowered:
            return SlurmUnavailable(f"{doing}: {said}; {advice}")
    if unknown_job(lowered):
        return SlurmRejected(f"{doing}: {said}", Refusal.UNKNOWN_JOB)
    for part, code in _REFUSALS:
        if part in lowered:
            return SlurmRejected(f"{doing}: {said}", code)
    return SlurmRejected(f"{doing}: {said}", Refusal.INVALID)
