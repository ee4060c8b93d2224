"""The catalogue in use: makes detectors from it and judges by it; can be swapped while running."""

from __future__ import annotations

from collections.abc import Sequence

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.classify import classify
from ajrd.detect.detector import Detector
from ajrd.detect.endstate import from_end_state
from ajrd.detect.engine import Engine, compile_engine
from ajrd.model import Anomaly, Finding, JobInfo, Verdict


class Judgement:
    """Detection as the rest of the service sees it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._engine: Engine
        self.use(catalogue)

    def use(self, catalogue: Catalogue) -> None:
        """Swaps the whole catalogue; files already open keep the one they began with."""
        self._engine = compile_engine(catalogue)
        self.digest = catalogue.digest

    def detector(self) -> Detector:
        """A detector for one log file."""
        return Detector(self._engine)

    def classify(self, anomalies: Sequence[Anomaly]) -> Verdict:
        """One verdict from all standing evidence."""
        return classify(anomalies)

    def from_end_state(self, job: JobInfo) -> Finding | None:
        """What Slurm's own end state means."""
        return from_end_state(job)
