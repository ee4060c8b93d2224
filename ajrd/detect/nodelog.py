"""What a node's own log says, and which job on the node it concerns. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

from ajrd.model import Finding, Kind

#: How the kernel's lines name the job of a process: the folder of its control group.
_CGROUP = re.compile(r"\bjob_(\d+)\b")


def concerns(finding: Finding, line: str, numbers: Collection[str]) -> bool:
    """Is a finding of a node's log evidence on the job with these raw numbers?

    A line that names a job is of that one. Of the others memory that some job has used up is of
    no other job on the node; everything else is of all of them.
    """
    job = _CGROUP.search(line)
    return job[1] in numbers if job else finding.kind is not Kind.OOM
