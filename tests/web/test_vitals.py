"""What is counted, and what the service tells of itself."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from prometheus_client import generate_latest

from ajrd import journal
from ajrd.config import Config, LoggingSection
from ajrd.errors import RemoteUnavailable, SlurmRejected, SlurmUnavailable, StoreUnavailable
from ajrd.hardware.health import HandoffHealth, Question
from ajrd.logs.health import FilesHealth
from ajrd.logwatch import LogWatch
from ajrd.loki.watch import LokiWatch
from ajrd.model import Anomaly, HoldBy, JobState, Verb
from ajrd.policy import decide
from ajrd.recovery import deciding
from ajrd.recovery.watched import Watched
from ajrd.slurm.admin_comment import Mark, with_mark
from ajrd.slurm.base import Refusal
from ajrd.store import queries
from ajrd.store.records import News
from ajrd.vitals.counts import BRANCHES
from ajrd.vitals.parts import FilesPart, LokiPart
from ajrd.vitals.store import MeteredStore
from ajrd.vitals.vitals import ASK_EVERY
from tests.loki.world import World
from tests.unit.samples import finding, job
from tests.unit.test_loop import AWAY
from tests.web.living import Living, living, now
from tests.web.recovered import faults_of

PHASES = ("decision_", "kill_", "restart_", "")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Living]:
    async with living(tmp_path) as service:
        yield service


async def test_a_recovery_is_counted_step_by_step(service: Living) -> None:
    await service.recover()
    value = service.value
    assert value("ajrd_attempts_started_total") == 2
    assert value("ajrd_attempts_ended_total", state="REQUEUED") == 1
    assert value("ajrd_anomalies_total", kind="CRASH", role="root") == 1
    assert value("ajrd_decisions_total", verb="requeue", branch="requeue") == 1
    assert (
        value(
            "ajrd_recoveries_total",
            verb="requeue",
            state="converged",
            outcome="successor_started",
        )
        == 1
    )
    for step in ("announce", "requeue_hold", "update", "release"):
        assert value("ajrd_actions_total", step=step, result="done") == 1


async def test_after_one_recovery_everything_is_told_as_it_was(
    service: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ajrd.vitals.vitals.BEAT", 0.01)
    beat = asyncio.create_task(service.vitals.run())
    await service.slurm_and_lease()
    await service.recover()
    await service.counted("ajrd_event_loop_lag_seconds_count")
    beat.cancel()
    text = generate_latest(service.vitals.registry).decode()
    assert faults_of(text) == []
    assert faults_of(text.replace("ajrd_holds 0.0", "ajrd_holds 1.0")) == [
        "ajrd_holds is 1.0, not 0"
    ]


async def test_each_phase_of_a_recovery_is_timed_and_together_they_are_all_of_it(
    service: Living,
) -> None:
    await service.recover()
    assert [service.value(f"ajrd_recovery_{phase}seconds_count") for phase in PHASES] == [1] * 4
    *parts, whole = (service.value(f"ajrd_recovery_{phase}seconds_sum") or 0 for phase in PHASES)
    assert whole == pytest.approx(sum(parts))


async def test_a_line_told_twice_is_counted_once(service: Living) -> None:
    job_id = service.slurm.submit(comment='{"APS": {"auto_resume_mode": "requeue"}}')
    async with service.running():
        first = await service.attempt(job_id, 0)
        await service.crash(first)
        await service.crash(first)
        await service.crash(first, offset=200)
    assert service.value("ajrd_anomalies_total", kind="CRASH", role="root") == 2


async def test_a_line_that_loki_tells_too_is_counted_once(service: Living) -> None:
    crashed = await World(service.store).job()
    by_file = Anomaly(finding(), "/srv/a.log", now())
    by_loki = Anomaly(finding(), "loki:/srv/a.log", now(), "entry 1")
    await service.store.record_evidence(crashed.attempt, [by_file], None, None, now())
    news = News(attempt=crashed.attempt, seen=(by_loki,), positions=())
    await service.store.record_sweep(None, [news], now())
    assert service.value("ajrd_anomalies_total", kind="CRASH", role="root") == 1


async def test_a_decision_that_nobody_carries_out_is_over_at_once(service: Living) -> None:
    job_id = service.slurm.submit(comment='{"APS": {"auto_resume_mode": "requeue"}}', requeue=False)
    async with service.running():
        first = await service.attempt(job_id, 0)
        await service.crash(first)
        labels = {"verb": "leave", "state": "converged", "outcome": "left_alone"}
        await service.counted("ajrd_recoveries_total", **labels)
    assert service.value("ajrd_decisions_total", verb="leave", branch="not_eligible") == 1


def test_every_branch_of_a_decision_is_there_from_the_start() -> None:
    source = inspect.getsource(decide) + inspect.getsource(deciding)
    branches = re.findall(r'Plan\(Verb\.(\w+), "(\w+)"', source)
    assert len(branches) > 8
    assert {(Verb[verb], branch) for verb, branch in branches} <= set(BRANCHES)


async def test_a_second_try_and_what_slurm_did_not_answer_are_counted(service: Living) -> None:
    service.slurm.fail_next("release", AWAY, after=False)
    await service.recover()
    assert service.value("ajrd_action_retries_total", step="release") == 1
    assert service.value("ajrd_slurm_errors_total", operation="release") == 1


async def test_a_refusal_is_an_answer(service: Living) -> None:
    slurm = service.vitals.parts.slurm
    assert slurm is not None
    with pytest.raises(SlurmRejected):
        await slurm.release("99")
    labels = {"operation": "release", "reason": Refusal.UNKNOWN_JOB.value}
    assert service.value("ajrd_slurm_refusals_total", **labels) == 1
    assert service.value("ajrd_slurm_up") == 1
    assert service.value("ajrd_slurm_request_seconds_count", operation="release") == 1


async def test_a_slurm_without_an_answer_is_down_until_it_has_one(service: Living) -> None:
    slurm = service.vitals.parts.slurm
    assert slurm is not None
    assert service.value("ajrd_slurm_up") == 0
    service.slurm.fail_next("cluster", AWAY, after=False)
    with pytest.raises(SlurmUnavailable):
        await slurm.cluster()
    assert service.value("ajrd_slurm_up") == 0
    assert service.facts().slurm_why == str(AWAY)
    await slurm.cluster()
    assert service.value("ajrd_slurm_up") == 1
    facts = service.facts()
    assert (facts.slurm_why, facts.slurm_version) == ("", "22.05.8")
    assert facts.slurm_seen_at is not None


async def test_slurm_is_asked_where_nobody_else_asks_it(service: Living) -> None:
    parts = service.vitals.parts

    async def asked() -> float | None:
        beat = asyncio.create_task(service.vitals.run())
        for _ in range(20):
            await asyncio.sleep(0)
        beat.cancel()
        with suppress(asyncio.CancelledError):
            await beat
        return service.value("ajrd_slurm_request_seconds_count", operation="cluster")

    assert await asked() == 0
    service.vitals.stands_by()
    assert await asked() == 1
    assert parts.slurm is not None
    assert parts.slurm.up
    service.vitals.leads(service.loop, [])
    assert await asked() == 1
    parts.slurm._heard -= ASK_EVERY
    assert await asked() == 2


async def test_transactions_are_timed_and_a_refused_statement_is_told_from_an_absence(
    service: Living,
) -> None:
    store = service.store
    assert isinstance(store, MeteredStore)
    before = service.value("ajrd_store_transaction_seconds_count", kind="write") or 0
    await store.log(now(), "test", "m")
    assert service.value("ajrd_store_transaction_seconds_count", kind="write") == before + 1
    with pytest.raises(StoreUnavailable):
        await store._all(queries.Query("SELECT nothing FROM nowhere"))
    labels = {"kind": "read", "error": "statement"}
    assert service.value("ajrd_store_errors_total", **labels) == 1
    assert service.value("ajrd_store_up") == 1


async def test_a_database_that_is_away_is_told_with_since_when(service: Living) -> None:
    store = service.store
    store._database.breaker.failed("the test says so")
    assert service.value("ajrd_store_up") == 0
    since = service.facts().store_away_since
    assert since is not None
    assert timedelta(0) <= now() - since < timedelta(seconds=30)
    store._database.breaker.answered()
    assert service.value("ajrd_store_up") == 1
    assert service.facts().store_away_since is None


async def test_a_hold_shows_its_age_and_by_how_much_it_is_late(service: Living) -> None:
    assert service.value("ajrd_hold_overdue_seconds") == 0
    deadline = now() - timedelta(seconds=90)
    seen = job(
        state=JobState.PENDING,
        held=HoldBy.REQUEUE_HOLD,
        restarts=1,
        submit_time=now() - timedelta(seconds=210),
        admin_comment=with_mark("", Mark(0, deadline, "why", by="me")),
    )
    job_id = service.slurm.submit(comment='{"APS": {"auto_resume_mode": "requeue"}}')
    async with service.running():
        await service.attempt(job_id, 0)
    watched: Watched = next(iter(service.loop.watched))
    watched.seen = seen
    assert service.value("ajrd_holds") == 1
    assert 89 <= (service.value("ajrd_hold_overdue_seconds") or 0) < 120
    assert 209 <= (service.value("ajrd_hold_oldest_seconds") or 0) < 240
    watched.seen = replace(seen, held=HoldBy.USER)
    assert service.value("ajrd_holds") == 0


async def test_jobs_are_counted_by_state(service: Living) -> None:
    for _ in range(2):
        service.slurm.submit(comment='{"APS": {"auto_resume_mode": "requeue"}}')
    job_id = service.slurm.submit(comment='{"APS": {"auto_resume_mode": 1}}')
    async with service.running():
        await service.attempt(job_id, 0)
    assert service.value("ajrd_jobs", state="RUNNING", managed="true") == 2
    assert service.value("ajrd_jobs", state="RUNNING", managed="false") == 1
    assert service.value("ajrd_jobs", state="PENDING", managed="true") == 0


async def test_one_who_stands_by_tells_nothing_of_jobs(service: Living) -> None:
    assert service.value("ajrd_leader") == 1
    service.vitals.stands_by()
    assert service.value("ajrd_leader") == 0
    for name in ("ajrd_holds", "ajrd_log_files_followed", "ajrd_loki_lag_seconds"):
        assert service.value(name) is None
    assert service.facts().role == "standby"
    assert service.facts().sources == ()


async def test_the_lease_is_told(service: Living) -> None:
    assert service.value("ajrd_lease_renewal_age_seconds") is None
    assert service.value("ajrd_lease_usable") == 0
    await service.slurm_and_lease()
    assert service.value("ajrd_lease_epoch") == 1
    assert service.value("ajrd_lease_usable") == 1
    assert 0 <= (service.value("ajrd_lease_renewal_age_seconds") or -1) < 20
    service.vitals.stands_by()
    assert service.value("ajrd_lease_renewal_age_seconds") is None, "he was replaced"


async def test_loki_is_told_for_each_tenant(service: Living) -> None:
    assert service.value("ajrd_loki_state", tenant="a", state="well") == 1
    assert service.value("ajrd_loki_state", tenant="b", state="well") == 0
    assert service.value("ajrd_loki_state", tenant="b", state="denied") == 1
    assert service.value("ajrd_loki_anomalies_swept_total", tenant="a") == 1
    assert service.value("ajrd_loki_entries_dropped_total", tenant="a") == 2
    assert service.value("ajrd_loki_errors_total", tenant="a", error="LokiTooMuch") == 0
    service.loki.health[0].errors["LokiTooMuch"] += 1
    assert service.value("ajrd_loki_errors_total", tenant="a", error="LokiTooMuch") == 1


async def test_hand_off_and_webhooks_are_told_from_zero_on(service: Living) -> None:
    value, handoff = service.value, service.handoff
    names = {"kind": "verdict", "outcome": "refused"}
    assert value("ajrd_hardware_requests_total", **names) == 0
    handoff.failed(Question.VERDICT, RemoteUnavailable("no", status=500), now())
    assert value("ajrd_hardware_requests_total", **names) == 1
    handoff.failing_since = now() - timedelta(seconds=60)
    assert 60 <= (value("ajrd_hardware_failing_seconds") or 0) < 90
    assert value("ajrd_drains_total", outcome="failed") == 0
    assert (value("ajrd_nodes_drained"), value("ajrd_drain_budget_nodes")) == (0, 2)
    assert value("ajrd_webhook_deliveries_total", endpoint="ops", outcome="given_up") == 0
    service.endpoint.waits_since = now() - timedelta(seconds=60)
    assert 60 <= (value("ajrd_webhook_lag_seconds", endpoint="ops") or 0) < 90


async def test_what_is_not_configured_is_not_told(service: Living) -> None:
    service.vitals.leads(service.loop, [HandoffHealth(reports=False, budget=None)])
    for name in ("ajrd_webhook_lag_seconds", "ajrd_hardware_reports_open", "ajrd_nodes_drained"):
        assert service.value(name) is None


async def test_the_facts_name_every_source_and_what_is_wrong_with_it(service: Living) -> None:
    service.files.state = FilesHealth(followed=3, unreadable=1, why="/x: denied", lag=0.5)
    files, one, other = service.facts().sources
    assert (files.name, files.state, files.why) == ("files", "unreadable", "/x: denied")
    assert (files.followed, files.lag) == (3, 0.5)
    assert (one.name, one.state, one.why) == ("loki a", "well", "")
    assert (other.name, other.state, other.why) == ("loki b", "denied", "no")
    service.files.state = FilesHealth(followed=3, given_up=1, why="too many files")
    assert service.facts().sources[0].state == "incomplete"


def test_the_real_sources_are_told_apart() -> None:
    assert issubclass(LogWatch, FilesPart)
    assert "health" in vars(LokiWatch)
    assert not hasattr(LokiWatch, "files_health")
    assert not hasattr(LogWatch, "health")
    assert hasattr(LokiPart, "health")


async def test_a_refused_reload_is_told_until_one_is_taken_up(service: Living) -> None:
    vitals = service.vitals
    vitals.reloaded(None)
    assert service.value("ajrd_config_last_reload_successful") == 0
    assert service.value("ajrd_config_reloads_total", result="refused") == 1
    acting = Config.model_validate({"recovery": {"mode": "act"}})
    vitals.reloaded(acting)
    assert service.value("ajrd_config_last_reload_successful") == 1
    assert service.value("ajrd_mode_info", mode="act") == 1
    assert service.facts().mode == "act"


def test_the_newest_warnings_are_remembered_bounded_and_harmless(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recent = journal.Recent()
    journal.configure(LoggingSection(), recent)
    try:
        log = structlog.get_logger("test")
        log.info("fine", job="7")
        for number in range(journal.MOST):
            log.warning("before", number=number)
        log.error("broken", why="\x1b[31m" + "x" * 5000, job="7")
    finally:
        structlog.reset_defaults()
    assert len(recent.messages) == journal.MOST
    assert recent.count == {"warning": journal.MOST, "error": 1}
    assert recent.messages[0].message == "number=1"
    last = recent.messages[-1]
    assert (last.event, last.level) == ("broken", "error")
    assert last.message.startswith("\\x1b[31mxxx")
    assert len(last.message) <= journal.LONGEST
    assert "fine" in capsys.readouterr().err


async def test_warnings_reach_facts_and_metrics(service: Living) -> None:
    recent = service.vitals.recent
    recent(logging.getLogger(), "warning", {"event": "store", "why": "gone", "job": "7"})
    trouble = service.facts().troubles[-1]
    assert (trouble.event, trouble.message) == ("store", "gone (job=7)")
    assert service.value("ajrd_journal_messages_total", level="warning") == 1
    assert service.value("ajrd_journal_messages_total", level="error") == 0
