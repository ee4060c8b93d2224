"""What broke in a log that is already there: detection and judgement without a service.

As in the service, an anomaly that was followed by a good stretch of progress did not break the
run and has no part in the verdict. Streams are read in blocks, so their size does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Protocol

from ajrd.detect.classify import classify
from ajrd.detect.detector import Detector
from ajrd.detect.engine import Engine
from ajrd.logs.lines import block_end
from ajrd.model import Anomaly, Finding, Verdict
from ajrd.policy.evidence import Pulse, weigh

#: Bytes read at a time: more than the longest line, less than what malloc maps anew each time.
READ = 96 * 1024
#: Lines of one scan have no time: their order is that of the file.
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class Stream(Protocol):
    """Where bytes come from."""

    def read1(self, size: int, /) -> bytes:
        """Up to ``size`` bytes, as soon as there are any; empty at the end."""


def scan_stream(
    name: str,
    stream: Stream,
    engine: Engine,
    found: Callable[[Finding], None],
    *,
    context: bool = True,
) -> Verdict:
    """The verdict on all of a stream; every finding is told to ``found``, as a rule as it comes."""
    detector = Detector(engine, patient=True, context=context)
    standing: list[Anomaly] = []
    offset = line_no = 0
    for block in blocks(stream):
        findings = detector.feed(block, offset, line_no, asked=bool(standing))
        for finding in findings.found:
            found(finding)
            standing.append(Anomaly(finding, name, _NO_TIME))
        if standing and findings.progress is not None:
            standing = _answered(name, standing, findings.progress.offset)
        offset, line_no = offset + len(block), line_no + findings.lines
    for finding in detector.finish():
        found(finding)
        standing.append(Anomaly(finding, name, _NO_TIME))
    return classify(_answered(name, standing, detector.progress_at))


def _answered(name: str, standing: list[Anomaly], progress_at: int) -> list[Anomaly]:
    """What of the evidence stands after progress at an offset."""
    pulse = Pulse(name, progress_at, _NO_TIME)
    return list(weigh(standing, [pulse], ended=True, settle=0).standing)


def blocks(stream: Stream) -> Iterator[bytes]:
    """Cuts a stream into blocks of complete lines, as they arrive."""
    pending = b""
    while data := stream.read1(READ):
        pending += data
        while end := block_end(pending):
            yield pending[:end]
            pending = pending[end:]
    if pending:
        yield pending
