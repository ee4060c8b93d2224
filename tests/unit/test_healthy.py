"""Healthy logs of all supported frameworks, full of frightening words: no anomaly, no verdict."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.detector import Detector
from ajrd.detect.engine import Engine, HyperscanEngine
from ajrd.model import Finding
from ajrd.offline import scan_stream
from bench.healthy import PROGRESS, TALK, chunk


@pytest.fixture(scope="module")
def engine() -> Engine:
    return HyperscanEngine(Catalogue.load(), Path("/nonexistent"))


@pytest.mark.parametrize("seed", range(3))
def test_no_rule_speaks_of_a_healthy_log(engine: Engine, seed: int) -> None:
    found: list[Finding] = []
    verdict = scan_stream("log", io.BytesIO(chunk(2_000_000, seed)), engine, found.append)
    assert found == []
    assert verdict.cause is None


@pytest.mark.parametrize("framework", PROGRESS)
def test_the_steps_of_every_framework_are_progress(engine: Engine, framework: str) -> None:
    form = PROGRESS[framework]
    text = form.format(i=70, c=71, m=1, s=2, t=1000, r=123, g=1, n=2, p=3)
    assert Detector(engine).feed(text.encode() + b"\n", 0, 0).progress is not None, text


@pytest.mark.parametrize("topic", TALK)
def test_talk_is_no_progress(engine: Engine, topic: str) -> None:
    for form in TALK[topic]:
        text = form.format(i=70, c=71, m=1, s=2, t=1000, r=123, g=1, n=2, p=3)
        assert Detector(engine).feed(text.encode() + b"\n", 0, 0).progress is None, text
