"""The commands that read the store: history, events, nodes, explain, status --watch."""

from __future__ import annotations

import inspect
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from ajrd.cli.storeurl import site_config
from ajrd.cli.watch import is_over
from ajrd.cli.words import BRANCHES, OUTCOMES, VERBS
from ajrd.config import Config
from ajrd.model import DecisionState, JobState, Progress, ReadPosition, Verb
from ajrd.policy import decide
from ajrd.policy.asked import BRANCH
from ajrd.recovery import deciding
from ajrd.recovery.sequence import Outcome
from ajrd.store.history import JobHistory, read_history
from ajrd.store.read import Reader
from ajrd.store.records import DecisionRecord
from tests.unit.cli_store import HOSTILE, LOG, Place, a_job, crash, fill
from tests.unit.samples import at

SINCE = ("--since", "2025-01-01")
HARMFUL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Filled once: nobody changes it."""
    place = Place(tmp_path_factory.mktemp("store"))
    store = await place.open()
    await fill(store)
    await store.close()
    yield place


def history_of(place: Place, job_id: str) -> JobHistory:
    reader = Reader(f"sqlite:///{place.database}")
    record = reader.job(job_id)
    assert record is not None
    found = read_history(reader, record)
    reader.close()
    return found


def test_history_tells_each_attempt_in_the_order_of_their_starts(place: Place) -> None:
    said = place.run("history", *SINCE, "-j", "7", "-o", "attemptid,state,cause,decision,outcome")
    assert said.output.splitlines() == [
        "JOBID  STATE     CAUSE  DECISION  OUTCOME",
        "7.0    REQUEUED  xid    requeue   successor_started",
        "7.1    RUNNING   -      -         -",
    ]


def test_history_is_narrowed(place: Place) -> None:
    ids = ("-n", "-o", "attemptid")
    assert place.run("history", *SINCE, *ids, "-u", "bob").output == ""
    assert len(place.run("history", *SINCE, *ids, "-u", "ada", "-p", "main").output.split()) == 7
    assert place.run("history", *SINCE, *ids, "--until", "2025-12-31").output == ""
    assert place.run("history", *ids).output == ""
    assert place.run("history", *SINCE, *ids, "--limit", "1").output == "7.1\n"
    assert place.run("history", "--since", "when?").exit_code == 2


def test_events_are_those_of_a_job_or_the_newest_of_all(place: Place) -> None:
    of_one = place.run("events", "8", "-n", "-o", "event").output.split()
    assert of_one == [
        "job_seen", "attempt_started", "anomaly", "anomaly", "request", "request_done", "paused",
    ]  # fmt: skip
    newest = json.loads(place.run("events", "--limit", "2", "--json").output)
    assert [each["jobid"] for each in newest] == ["12", "12"]
    assert place.run("events", "99").exit_code == 1


def test_events_are_followed_until_ctrl_c(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    done = place.run("events", "--follow", "--limit", "1", "--json")
    assert done.exit_code == 130
    assert [json.loads(line)["jobid"] for line in done.output.splitlines()] == ["12"]


def test_nodes_are_counted(place: Place) -> None:
    [node] = json.loads(place.run("nodes", *SINCE, "--json").output)
    told = {name: node[name] for name in ("node", "attempts", "jobs", "excluded", "causes")}
    assert told == {"node": "n2", "attempts": 1, "jobs": 1, "excluded": 1, "causes": ["xid"]}
    assert place.run("nodes", *SINCE, "-n", "-w", "n1").output == ""


def test_explain_tells_what_was_done_and_why(place: Place) -> None:
    said = place.run("explain", "7.0").output
    for words in (
        "* 12:00:10  root      HARDWARE xid, node n2 xid 79",
        f"{LOG_LINE} Xid 79: GPU has fallen off the bus",
        "teardown  CRASH segfault, after the decision",
        "its owner asks for: requeue, at most once",
        "because: the machine failed (rule gpu.xid, line 4)",
        "to requeue it: it broke for a reason that another attempt may not meet",
        "its words: HARDWARE xid: requeue 1 of 1",
        "stays away from n2",
        "budget: 0 used before + 1 of 1 (the site allows 10 at most)",
        "12:00:13.000  done      scontrol release 7",
        "converged: Slurm was seen to run the next attempt",
    ):
        assert words in said
    assert "Attempt 1" not in said
    assert place.run("explain", "7.5").exit_code == 1


LOG_LINE = "/w/train.log:4:"


@pytest.mark.parametrize(
    ("job_id", "words"),
    [
        ("8", "the job is paused by ada (I debug it): nothing is decided until it is resumed"),
        ("9", "the attempt has made progress since: what still works is not ended"),
        ("10", "no log was read, and nothing pointed at trouble"),
        ("11", "the job ended well"),
        ("12", 'nothing is decided on a job that is not managed: the job comment has no "APS"'),
    ],
)
def test_explain_tells_why_nothing_was_done(place: Place, job_id: str, words: str) -> None:
    assert words in place.run("explain", job_id).output


def test_explain_names_the_software_of_a_rule_and_what_is_a_consequence(place: Place) -> None:
    said = place.run("explain", "9").output
    assert "cascade   NETWORK nccl_timeout, answered by progress" in said
    said = place.run("explain", "8").output
    assert "rule crash.segfault, of bash" in said


async def test_explain_does_not_answer_a_decision_with_what_came_after_it(tmp_path: Path) -> None:
    """In observe mode, and while other ranks still print, a job goes on behind its decision."""
    place = Place(tmp_path)
    store = await place.open()
    job, attempt = await a_job(store, "7")
    row = await crash(store, attempt)
    made = DecisionRecord(
        id=0, attempt=attempt.id, anomaly=row, verb=Verb.REQUEUE, branch="requeue",
        reason="CRASH segfault: requeue 1 of 1", exclude_nodes="", state=DecisionState.OBSERVED,
        outcome="", detail="", hold_deadline=None, created_at=at(14), closed_at=at(14), used=1,
        cause="segfault",
    )  # fmt: skip
    await store.write_decision(made, job, attempt, ())
    position = ReadPosition(LOG, 1, 2, 90_000, 99, "ab")
    await store.record_evidence(attempt, [], position, Progress(89_000, 98, "step 77", 77), at(60))
    for ended in (attempt, replace(attempt, state="COMPLETED", ended_at=at(90))):
        await store.save_attempt(ended, at(90), "attempt_ended")
        said = place.run("explain", "7").output
        assert "What broke first (*): CRASH segfault" in said
        assert "answered by progress" not in said
        assert "not carried out" in said
    await store.close()


def test_explain_in_json_has_the_same_reasons(place: Place) -> None:
    told = json.loads(place.run("explain", "8", "--json").output)
    [attempt] = told["attempts"]
    assert attempt["verdict"]["rule"] == "crash.segfault"
    assert attempt["why"][0].startswith("the job is paused by ada")
    assert told["requests"][0]["state"] == "done"


def test_explain_asks_slurm_about_a_job_that_it_does_not_know(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"job_id": "99", "state": "RUNNING", "note": 'the job comment has no "APS" directive'}
    answers: list[dict[str, str] | None] = [told, told, None]
    monkeypatch.setattr("ajrd.cli.outside.explain_from_slurm", lambda _job, _config: answers.pop(0))
    assert "99: RUNNING, not managed by ajrd: the job comment" in place.run("explain", "99").output
    assert json.loads(place.run("explain", "99", "--json").output)["job"] == told
    assert place.run("explain", "99").exit_code == 1


def test_explain_knows_when_a_site_only_observes(place: Place, tmp_path: Path) -> None:
    watching = Place(tmp_path, mode="observe")
    watching.database = place.database
    watching.config.write_text(place.config.read_text().replace("mode: act", "mode: observe"))
    assert "ajrd only observes here" in watching.run("explain", "10").output


@pytest.mark.parametrize(
    "argv",
    [
        ("history", *SINCE),
        ("history", *SINCE, "--csv"),
        ("history", *SINCE, "--json"),
        ("events", "-o", "time,name"),
        ("events", "--csv", "-o", "name,message"),
        ("events", "--json"),
        ("list",),
        ("list", "--csv"),
        ("list", "--json"),
        ("list", "-o", "name:12"),
        ("explain", "10"),
        ("explain", "10", "--json"),
        ("status", "10"),
    ],
)
def test_hostile_text_does_no_harm_in_any_form(place: Place, argv: tuple[str, ...]) -> None:
    said = place.run(*argv).output
    assert "evil" in said
    assert not HARMFUL.search(said)
    assert not re.search(r"^=cmd", said, re.MULTILINE)


def test_json_of_a_list_holds_the_text_as_it_is(place: Place) -> None:
    told = json.loads(place.run("list", "--json", "-o", "jobid,name").output)
    assert {"jobid": "10", "name": HOSTILE} in told


def test_status_says_that_a_job_is_paused(place: Place) -> None:
    said = place.run("status", "8").output
    assert "paused: nothing is done to it until it is resumed (ajrd resume 8)" in said
    assert "8   paused" in place.run("list", "-n", "-o", "jobid,note").output


def test_watching_ends_when_the_job_is_over(place: Place) -> None:
    assert "Job 11" in place.run("status", "11", "--watch", "0.1").output
    assert place.run("status", "99", "--watch").exit_code == 1
    assert place.run("status", "--service", "--watch").exit_code == 2


def test_watching_ends_by_ctrl_c(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    done = place.run("status", "8", "--watch")
    assert (done.exit_code, done.output.count("Job 8 ")) == (130, 1)


def test_a_job_is_over_when_nothing_will_happen_to_it(place: Place) -> None:
    now = at(100).astimezone(UTC)
    running, recovered = history_of(place, "8"), history_of(place, "7")
    assert not is_over(running, now)
    failed = replace(running, job=replace(running.job, state=JobState.FAILED.value))
    last = replace(running.attempts[-1].attempt, ended_at=at(95), state="FAILED")
    failed.attempts[-1] = replace(running.attempts[-1], attempt=last)
    assert not is_over(failed, now), "it may be brought back yet"
    assert is_over(failed, now + timedelta(minutes=1))
    decision = recovered.attempts[0].decision
    assert decision is not None
    under_way = replace(decision, verb=Verb.STOP, state=DecisionState.OPEN)
    failed.attempts[-1] = replace(failed.attempts[-1], decision=under_way)
    assert not is_over(failed, now + timedelta(minutes=1))


def test_everything_that_a_decision_may_say_has_words() -> None:
    assert set(OUTCOMES) == set(Outcome)
    assert set(VERBS) == set(Verb)
    sources = inspect.getsource(decide) + inspect.getsource(deciding)
    branches = set(re.findall(r'Plan\(Verb\.\w+, "(\w+)"', sources))
    assert "budget_spent" in branches
    assert branches | {BRANCH} == set(BRANCHES)


def test_who_may_not_read_the_configuration_gets_the_limits_of_ajrd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The packaged file is for root and the service; users look over the socket."""

    def refuse(*_argv: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    config = site_config(tmp_path / "config.yaml")
    assert config.recovery.max_requeue_times == Config().recovery.max_requeue_times
    assert "is not for you to read" in capsys.readouterr().err
