"""The catalogue in use: makes detectors from it and judges by it; can be swapped while running."""

from __future__ import annotations

from collections.abc import Sequence

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.classify import classify
from ajrd.detect.compiled import CompiledProgress
from ajrd.detect.detector import Detector
from ajrd.detect.endstate import from_end_state
from ajrd.detect.engine import Engine, compile_engine
from ajrd.logs.feed import DetectorFactory
from ajrd.model import Anomaly, Finding, JobInfo, Verdict

#: Findings of one rule in one stream that are told one by one.
STREAM_CAP = 1000


class Judgement:
    """Detection as the rest of the service sees it."""

    def __init__(self, rules_dirs: Sequence[str]) -> None:
        self._engine: Engine
        self.load(rules_dirs)

    def load(self, rules_dirs: Sequence[str]) -> None:
        """Takes up the whole catalogue anew, or raises ConfigError and keeps the one in use.

        Takes a moment and may be run in a thread; files already open keep the rules they began
        with.
        """
        catalogue = Catalogue.load(rules_dirs)
        self._engine, self.digest = compile_engine(catalogue), catalogue.digest
        self.catalogue = catalogue

    def detectors(self, progress: str) -> DetectorFactory:
        """Makes detectors for the log files of an attempt; ``progress`` is the owner's pattern.

        Raises :class:`~ajrd.detect.pattern.PatternError`.
        """
        own = CompiledProgress.of_owner(progress) if progress else None
        return lambda: Detector(self._engine, own)

    def listener(self, progress: str) -> Detector:
        """A detector for a stream of which only what matters is to be had: no context in it."""
        own = CompiledProgress.of_owner(progress) if progress else None
        return Detector(self._engine, own, context=False, cap=STREAM_CAP)

    def classify(self, anomalies: Sequence[Anomaly]) -> Verdict:
        """One verdict from all standing evidence."""
        return classify(anomalies)

    def from_end_state(self, job: JobInfo) -> Finding | None:
        """What Slurm's own end state means."""
        return from_end_state(job)
