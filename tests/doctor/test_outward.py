"""Webhooks, the hardware service and drains, as they are and as they should be."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ajrd import journal
from ajrd.config import HARDWARE_TOKEN, Config
from ajrd.doctor import handoff, tools, webhooks
from ajrd.doctor.check import Finding, Group, Level
from ajrd.doctor.handoff import judge_budget, judge_drain_rights
from ajrd.doctor.slurm import Rights
from ajrd.doctor.table import CHECKS
from ajrd.doctor.tools import Account
from ajrd.doctor.webhooks import Queue, Reached, judge_hosts, judge_queues
from ajrd.model import Verb
from ajrd.slurm.nodes import NodeInfo
from ajrd.store.handoffs import ReportState, suspect, unfinished
from ajrd.store.records import Suspicion
from ajrd.store.store import Store
from labcluster.ports import free_block
from tests.conftest import Cluster
from tests.doctor.conftest import Examined
from tests.outward.receiver import DENIED, HANG, Receiver, Reply, receiving
from tests.outward.world import decided, node, over

NAMES = [check.name for check in CHECKS if check.group is Group.OUTWARD]
LONG_AGO = timedelta(minutes=20)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Store]:
    """The store of the configuration that is examined."""
    store = await Store.open(f"sqlite:///{tmp_path}/ajrd.sqlite")
    yield store
    await store.close()


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where systemd would keep those of the service; not made yet."""
    folder = tmp_path / "credentials"
    monkeypatch.setattr(tools, "RUNNING", folder)
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return a_file(tmp_path / "secret", "0123456789abcdef" * 4)


def a_file(path: Path, content: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


def now() -> datetime:
    return datetime.now(UTC)


def notify(*urls: str, **values: Any) -> dict[str, Any]:
    """The section with an endpoint for each URL: a, b, …"""
    return {"webhooks": [{"name": name, "url": url, **values} for name, url in zip("abc", urls)]}  # noqa: B905


async def test_what_is_not_configured_is_not_looked_at(examined: Examined) -> None:
    found = await examined(*NAMES)
    assert {each.level for each in found.values()} == {Level.SKIP}
    assert found["webhook-host"].found == "notify.webhooks is empty"


# secrets of webhooks


async def a_secret(examined: Examined, file: Path | None) -> Finding:
    section = notify("http://127.0.0.1:9/", secret_file=str(file) if file else None)
    return (await examined("webhook-secret", notify=section))["webhook-secret"]


async def test_a_long_secret_that_is_kept_is_well(examined: Examined, secret: Path) -> None:
    assert (await a_secret(examined, secret)).level is Level.OK


@pytest.mark.parametrize(
    ("content", "mode", "level", "words"),
    [
        ("short\n", 0o600, Level.WARN, "the secret of webhook a has 5 bytes, less than 32"),
        ("\n", 0o600, Level.FAIL, "webhook a has no secret and is told nothing"),
        ("s" * 64, 0o604, Level.FAIL, "everybody may read"),
    ],
    ids=["short", "empty", "open"],
)
async def test_a_secret_that_is_none_is_named(
    examined: Examined, tmp_path: Path, content: str, mode: int, level: Level, words: str
) -> None:
    file = a_file(tmp_path / "a b", content, mode)
    found = await a_secret(examined, file)
    assert (found.level, words in found.found) == (level, True), found
    assert shlex.quote(str(file)) in found.mend


async def test_a_secret_that_is_not_there_is_named(examined: Examined, tmp_path: Path) -> None:
    found = await a_secret(examined, tmp_path / "none")
    assert (found.level, "No such file" in found.found) == (Level.FAIL, True)


async def test_a_credential_of_the_service_is_looked_at_where_systemd_keeps_it(
    examined: Examined, credentials: Path
) -> None:
    found = await a_secret(examined, None)
    assert found.level is Level.WARN
    assert "only the running service can see the credential ajrd-webhook-a" in found.found
    credentials.mkdir()
    assert (await a_secret(examined, None)).found == "webhook a has no secret and is told nothing"
    a_file(credentials / "ajrd-webhook-a", "s" * 64, 0o400)
    assert (await a_secret(examined, None)).level is Level.OK


async def test_the_gravest_is_told_and_how_many_more_there_are(
    examined: Examined, tmp_path: Path
) -> None:
    short, empty = a_file(tmp_path / "short", "s"), a_file(tmp_path / "empty", "")
    section = notify("http://h/", "http://h/", "http://h/")
    for webhook, file in zip(section["webhooks"], (short, empty, short), strict=True):
        webhook["secret_file"] = str(file)
    found = (await examined("webhook-secret", notify=section))["webhook-secret"]
    assert (found.level, found.found) == (
        Level.FAIL,
        "webhook b has no secret and is told nothing (and 2 more)",
    )


# hosts of webhooks


async def test_a_host_that_answers_is_well_and_is_sent_nothing(
    examined: Examined, receiver: Receiver
) -> None:
    found = await examined("webhook-host", notify=notify(f"{receiver.url}/secret-path"))
    assert found["webhook-host"].found == f"a: 127.0.0.1:{receiver.port}, without TLS"
    assert found["webhook-host"].level is Level.OK
    assert receiver.sent == []


async def test_a_host_that_does_not_answer_is_named_without_its_path(
    examined: Examined, receiver: Receiver
) -> None:
    where = f"127.0.0.1:{free_block(1)}"
    section = notify(receiver.url, f"http://{where}/secret-path")
    found = (await examined("webhook-host", notify=section))["webhook-host"]
    assert found.level is Level.FAIL
    assert found.found == f"webhook b: nobody listens at {where} (connection refused)"
    assert found.mend == f"curl -v http://{where}/"


def test_events_that_go_over_a_network_in_clear_are_a_warning() -> None:
    found = (Reached("a", "http://10.0.0.7:80/x", "10.0.0.7:80, without TLS"),)
    assert judge_hosts(found, Config()).level is Level.WARN
    broken = Reached("b", "https://h/", "", "webhook b: no")
    assert judge_hosts((*found, broken), Config()).found == "webhook b: no (and 1 more)"


# queues of webhooks


async def a_queue(examined: Examined, **values: Any) -> Finding:
    section = notify("http://127.0.0.1:9/", **values)
    return (await examined("webhook-queue", notify=section))["webhook-queue"]


async def test_a_queue_from_its_beginning_to_what_it_lost(examined: Examined, books: Store) -> None:
    found = await a_queue(examined)
    assert (found.level, found.found) == (Level.WARN, "no ajrd has ever served webhook a")
    await books.move_cursor("webhook@a", 0, now())
    await over(books, now(), "7", Verb.STOP)
    assert (await a_queue(examined)).found == "nothing waits for a"
    await over(books, now() - LONG_AGO, "8", user="bob")
    found = await a_queue(examined)
    assert (found.level, found.found) == (
        Level.FAIL,
        "webhook a has not taken an event for 20 min",
    )
    assert (await a_queue(examined, users=["ada"])).level is Level.OK
    lost = "webhook a was not told of job.recovered, id 5b: webhook a: HTTP 500: boom"
    await books.move_cursor("webhook@a", 1000, now(), lost)
    found = await a_queue(examined)
    assert (found.level, found.found) == (
        Level.WARN,
        "webhook a: events given up in a day: 1",
    )
    assert found.detail == lost


async def test_what_another_endpoint_lost_long_ago_is_not_told(
    examined: Examined, books: Store
) -> None:
    await books.move_cursor("webhook@a", 0, now())
    await books.move_cursor("webhook@ab", 0, now(), "webhook ab was not told of it")
    await books.move_cursor("webhook@a", 9, now() - timedelta(days=2), "webhook a was not told")
    assert (await a_queue(examined)).level is Level.OK


async def test_queues_are_not_looked_at_without_a_database(examined: Examined) -> None:
    assert (await a_queue(examined)).found == "not looked at: the database does not answer"


def test_the_last_complaint_of_the_service_is_shown_with_what_is_late() -> None:
    recent = journal.Recent()
    for why, name in (("HTTP 500", "b"), ("HTTP 502 (x)", "a"), ("who", "a-b")):
        said = {"event": "webhook_failed", "endpoint": name, "why": why}
        recent(logging.getLogger(), "warning", said)
    told = [{"event": each.event, "message": each.message} for each in recent.messages]
    reasons = dict(webhooks._complaints([*told, "rubbish", {"event": "webhook_failed"}]))
    assert reasons["a"] == "HTTP 502 (x) (endpoint=a)"
    late = Queue("a", began=True, waits=1000.0, why=reasons["a"])
    assert judge_queues((late,), Config()).detail == reasons["a"]


# the hardware service


def hardware(url: str, **values: Any) -> dict[str, Any]:
    return {"api": {"url": url, **values}}


async def test_a_hardware_service_that_answers_is_well_and_is_told_of_no_node(
    examined: Examined, receiver: Receiver, secret: Path
) -> None:
    receiver.usual = Reply(404)
    section = hardware(
        f"{receiver.url}/nodes/{{node}}",
        token_file=str(secret),
        verdict_url=f"{receiver.url}/v/{{reference}}",
    )
    found = await examined("hardware-api", "hardware-verdict", hardware=section)
    where = f"127.0.0.1:{receiver.port}, without TLS"
    assert found["hardware-api"].found.startswith(f"{where}, HTTP 404; whether the token is good")
    assert found["hardware-verdict"].found == f"{where}, every 60 s"
    assert {each.level for each in found.values()} == {Level.OK}
    assert {sent.method for sent in receiver.sent} == {"GET"}


async def test_a_refused_token_fails_and_one_that_cannot_be_seen_is_a_warning(
    examined: Examined, receiver: Receiver, secret: Path, credentials: Path
) -> None:
    receiver.usual = DENIED

    async def api(**values: Any) -> Finding:
        section = hardware(receiver.url, **values)
        return (await examined("hardware-api", hardware=section))["hardware-api"]

    found = await api(token_file=str(secret))
    assert (found.level, "it refuses the token" in found.found) == (Level.FAIL, True)
    found = await api()
    assert (found.level, "only the running service can see" in found.found) == (Level.WARN, True)
    credentials.mkdir()
    assert (await api()).level is Level.FAIL
    a_file(credentials / HARDWARE_TOKEN, "given", 0o400)
    receiver.replies.extend([DENIED, Reply()])
    assert (await api()).found.endswith("HTTP 200; the token is taken")
    assert receiver.sent[-1].headers["authorization"] == "Bearer given"


async def test_a_service_that_hangs_ends_in_a_sentence_within_the_time_of_a_check(
    examined: Examined, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoff, "PATIENCE", 0.2)
    receiver.usual = HANG
    section = hardware(receiver.url, timeout=600)
    found = (await examined("hardware-api", hardware=section))["hardware-api"]
    assert (found.level, found.found) == (
        Level.FAIL,
        "the hardware service did not answer within 0.2 s",
    )


async def test_a_token_that_never_comes_is_not_waited_for(
    examined: Examined, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoff, "PATIENCE", 0.2)
    os.mkfifo(tmp_path / "token", 0o600)
    section = hardware(receiver.url, token_file=str(tmp_path / "token"))
    found = (await examined("hardware-api", hardware=section))["hardware-api"]
    assert found.found == "the hardware service: its token cannot be read in time"
    assert receiver.sent == []


async def test_a_verdict_that_is_the_same_for_all_is_a_warning(
    examined: Examined, receiver: Receiver
) -> None:
    section = hardware(receiver.url, verdict_url=f"{receiver.url}/v")
    found = (await examined("hardware-verdict", hardware=section))["hardware-verdict"]
    assert (found.level, "one verdict for all" in found.found) == (Level.WARN, True)


def test_a_token_over_a_network_in_clear_is_a_warning() -> None:
    config = Config.model_validate({"hardware": hardware("http://10.0.0.7/")})
    assert handoff.judge_service(handoff.Service("there"), config).level is Level.WARN


async def test_reports_from_the_first_to_one_that_was_given_up(
    examined: Examined, books: Store
) -> None:
    section = hardware("http://127.0.0.1:9/")

    async def reports() -> Finding:
        return (await examined("hardware-reports", hardware=section))["hardware-reports"]

    blamed = [Suspicion("n1", "HARDWARE", "xid", True), Suspicion("n2", "NODE", "down", True)]
    await decided(books, now() - LONG_AGO, suspects=[*blamed, Suspicion("n3", "OOM", "oom", True)])
    found = await reports()
    assert (found.level, found.found) == (Level.FAIL, "n1 has waited for 20 min to be reported")
    query = unfinished(now() - timedelta(days=1), 9, drain=False, report=True)
    one, two, _ = [suspect(row) for row in await books.look_up(query)]
    await books.save_handoff(with_report(one, ReportState.TOLD), now())
    await books.save_handoff(with_report(two, ReportState.ANSWERED), now())
    assert (await reports()).found == "0 nodes wait to be reported, 1 for a verdict"
    await books.save_handoff(with_report(one, ReportState.FAILED, "HTTP 422: \x1b[31m"), now())
    found = await reports()
    assert found.level is Level.WARN
    assert found.found == "reports given up in a day: 1, the last of n1"
    assert found.detail == "HTTP 422: \x1b[31m"


def with_report(one: Any, state: ReportState, note: str = "") -> Any:
    return replace(one, report=state, report_note=note)


# drains


AJRD = Account(990, "ajrd", frozenset(), "by ajrd.service")
ROOT = Account(0, "root", frozenset(), "by ajrd.service")


def draining(mode: str = "act", **values: Any) -> Config:
    drain = {"enabled": True, **values}
    return Config.model_validate({"recovery": {"mode": mode}, "hardware": {"drain": drain}})


@pytest.mark.parametrize(
    ("who", "level", "mode", "wanted", "words"),
    [
        (ROOT, "", "act", Level.OK, "is root"),
        (AJRD, "Administrator", "act", Level.OK, "is Administrator"),
        (AJRD, "Operator", "act", Level.FAIL, "set adminlevel=Administrator"),
        (AJRD, "", "act", Level.FAIL, "adminlevel=Administrator"),
        (AJRD, "", "observe", Level.OK, "mode observe: no node is drained"),
    ],
)
def test_who_may_drain(who: Account, level: str, mode: str, wanted: Level, words: str) -> None:
    found = judge_drain_rights(Rights(who, 64030, level, True), draining(mode))
    assert (found.level, words in f"{found.found} {found.mend}") == (wanted, True), found


def nodes(count: int, *partitions: str) -> list[NodeInfo]:
    return [
        node(f"{partitions[0]}{number}", "idle", "none", *partitions) for number in range(count)
    ]


@pytest.mark.parametrize(
    ("seen", "values", "level", "words"),
    [
        (nodes(5, "main"), {}, Level.OK, "0 nodes are drained by ajrd, of 2 that may be"),
        (nodes(4, "main"), {}, Level.WARN, "no node of main is ever drained: 1 of 4 nodes"),
        (nodes(4, "main"), {"max_share": 0.25}, Level.OK, "of 2 that may be"),
        (nodes(4, "main"), {"max_share": 1, "keep_nodes": 4}, Level.WARN, "keep_nodes"),
        (nodes(1, "main"), {"max_share": 1}, Level.WARN, "0 usable nodes would be left in main"),
        ([*nodes(9, "main"), *nodes(2, "gpu"), *nodes(1, "lab")], {}, Level.WARN,
         "no node of gpu, lab is ever drained"),
        ([*nodes(9, "main"), *(node(f"x{i}", "idle+drain", "ajrd: y") for i in range(2))], {},
         Level.WARN, "2 nodes are drained by ajrd, of 2 that may be: no other one is"),
        ([*(node(f"x{i}", "down+drain", "by me") for i in range(9))], {}, Level.OK, "0 nodes"),
    ],
)  # fmt: skip
def test_a_budget_that_lets_nothing_be_drained_is_a_warning(
    seen: list[NodeInfo], values: dict[str, Any], level: Level, words: str
) -> None:
    found = judge_budget(tuple(seen), draining(**values))
    assert (found.level, words in found.found) == (level, True), found


def test_only_partitions_of_nodes_that_ajrd_looks_after_count() -> None:
    seen = (*nodes(9, "main", "all"), *nodes(2, "lab", "all"))
    seen = (*seen, *nodes(2, "big"))
    config = draining()
    recovery = config.recovery.model_copy(update={"partitions": ("main",)})
    assert judge_budget(seen, config).found.startswith("no node of big, lab is")
    config = config.model_copy(update={"recovery": recovery})
    assert judge_budget(seen, config).level is Level.OK


async def test_drains_of_a_real_slurm(lab: Cluster, examined: Examined, tmp_path: Path) -> None:
    sections = {"slurm": {"conf": str(lab.conf)}, "recovery": {"mode": "act"}}
    found = await examined("drain-rights", "drain-budget", **sections,
                           hardware={"drain": {"enabled": True, "max_share": 0.01}})  # fmt: skip
    assert found["drain-rights"].level is Level.OK
    assert "would be drained by ajrd (hardware.drain.max_share)" in found["drain-budget"].found
    sections["slurm"] = {"bin_dir": str(tmp_path)}
    found = await examined("drain-rights", "drain-budget", **sections,
                           hardware={"drain": {"enabled": True}})  # fmt: skip
    assert {each.found for each in found.values()} == {"not looked at: slurmctld does not answer"}
