"""What leaves the house holds what support needs, and none of what is nobody's business."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import stat
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from click.testing import CliRunner

from ajrd.cli.main import cli
from ajrd.doctor import tools
from ajrd.doctor.redact import Redactor, guessed
from ajrd.store.store import Store
from tests.database.samples import a_job
from tests.database.server import Schema

#: Planted: secrets that must never show, and names and words that need leave.
PASSWORD, TOKEN, INLINE = 'pa"ss/w€rd-9f', "tok-4711-abcdef==", "hunter2"
HARDWARE, SIGNING, GIVEN = "hw-token-0815+x/y", "sign!ng 4242 secret", "given-by-systemd-77"
#: To many services, whoever knows the URL of a webhook may post to it.
KEY, SHORT_KEY = "T0123/B0456/kVx93hFzQm27LpRtYb5Ws8Nd", "/in/k3y"
TOLD_OF = "katherine-j"
OWNER, OPERATOR, COMMENT, LINE = "ada", "grace-hopper", "resume_me_please", "loss=0.12 secret_model"

LOG: tuple[Mapping[str, Any] | str, ...] = (
    {"event": "started", "level": "info", "timestamp": "2026-11-26T06:00:00Z", "pid": 7},
    {"event": "decided", "level": "info", "job": "12_3", "cause": "segfault", "user": OWNER},
    {"event": "loki", "level": "error", "why": f"http://bob:{PASSWORD}@loki/ refused {OWNER}"},
    {"event": "line", "level": "debug", "text": LINE, "comment": COMMENT, "lag": 0.5},
    {"event": "aside_failed", "exception": (
        'Traceback (most recent call last):\n  File "/opt/x/ajrd/store/store.py", line 7, in add\n'
        f"ValueError: {LINE} {TOKEN}"
    )},
    {"event": "auth", "why": f"Authorization: Bearer {TOKEN}", LINE: 1},
    {"event": "webhook_failed", "endpoint": "ops", "level": "warning",
     "why": f"webhook ops: {SIGNING} https://hooks.example.org/{KEY} {GIVEN} {TOLD_OF}"},
    {"event": "hardware_unavailable", "why": f"the hardware service: HTTP 401: {HARDWARE}"},
    {"event": "webhook_failed", "why": f"cannot reach http://127.0.0.1:1{SHORT_KEY} ({KEY[12:]})"},
    f"Traceback of {OWNER}: password={INLINE} {LINE}",
)  # fmt: skip


def unpacked(file: Path) -> dict[str, str]:
    """The files in it by their names; it holds nothing but files in one folder."""
    with tarfile.open(file) as tar:
        found = {}
        for member in tar:
            folder, _, name = member.name.partition("/")
            assert (folder, member.isfile()) == ("ajrd-support", True)
            content = tar.extractfile(member)
            assert content is not None
            found[name] = content.read().decode()
        return found


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, secrets and a log of a service that has run here."""
    secrets = {
        "password": PASSWORD,
        "token": TOKEN,
        "hardware": HARDWARE,
        f"signing of {TOLD_OF}": SIGNING,
        "given/ajrd-webhook-other": GIVEN,
    }
    monkeypatch.setattr(tools, "RUNNING", tmp_path / "given")
    (tmp_path / "given").mkdir()
    for name, secret in secrets.items():
        (tmp_path / name).write_text(f"{secret}\n")
        (tmp_path / name).chmod(0o600)
    lines = (each if isinstance(each, str) else json.dumps(each) for each in LOG)
    (tmp_path / "ajrd.log").write_text("".join(f"{line}\n" for line in lines))
    config = {
        "slurm": {"conf": str(tmp_path / "none.conf"), "timeout": 0.5},
        "recovery": {"lease": 20},
        "database": {
            "url": f"sqlite:///{tmp_path}/ajrd.sqlite",
            "password_file": str(tmp_path / "password"),
        },
        "loki": {"url": "http://127.0.0.1:1", "auth": {"token_file": str(tmp_path / "token")}},
        "hardware": {
            "api": {
                "url": "http://127.0.0.1:1/nodes/{node}",
                "token_file": str(tmp_path / "hardware"),
            }
        },
        "notify": {
            "webhooks": [
                {
                    "name": "ops",
                    "url": f"http://127.0.0.1:1/{KEY}",
                    "users": [TOLD_OF],
                    "secret_file": str(tmp_path / f"signing of {TOLD_OF}"),
                },
                {"name": "other", "url": f"http://127.0.0.1:1{SHORT_KEY}"},
            ]
        },
        "web": {"operators": ["root", OPERATOR], "operator_groups": ["hpc-admins"]},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def bundle(house: Path, *options: str, code: int = 1) -> dict[str, str]:
    """Makes one and unpacks it."""
    file = house / "support.tar.gz"
    argv = ["--config", str(house / "config.yaml"), "--log", str(house / "ajrd.log")]
    done = CliRunner().invoke(cli, ["doctor", *argv, "--bundle", str(file), "--json", *options])
    assert done.exit_code == code, done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return unpacked(file)


def everything(members: Mapping[str, str]) -> str:
    return "\n".join(members.values())


def assert_no_secret(text: str) -> None:
    for secret in (PASSWORD, TOKEN, INLINE, HARDWARE, SIGNING, GIVEN, KEY, KEY[12:], SHORT_KEY):
        plain = secret.encode()
        forms = (secret, json.dumps(secret)[1:-1], quote(secret, safe=""),
                 base64.b64encode(plain).decode().rstrip("="))  # fmt: skip
        for form in forms:
            assert form not in text, form


def assert_no_name(text: str) -> None:
    for word in (
        OPERATOR,
        TOLD_OF,
        "hpc-admins",
        COMMENT,
        "secret_model",
        f'"{OWNER}"',
        f" {OWNER}",
    ):
        assert word not in text, word


async def with_a_job(house: Path) -> None:
    store = await Store.open(f"sqlite:///{house}/ajrd.sqlite")
    await a_job(store)
    await store.acquire_lease("a", "head1", 42, 600.0)
    await store.close()


async def beside(work: Any) -> Any:
    return await asyncio.to_thread(work)


async def test_support_gets_what_it_needs(house: Path) -> None:
    await with_a_job(house)
    found = await beside(lambda: bundle(house))
    checks = {each["name"]: each for each in json.loads(found["doctor.json"])["checks"]}
    assert checks["controller"]["level"] == "fail"
    assert json.loads(found["lease.json"])["host"] == "head1"
    assert json.loads(found["counts.json"])["rows"]["jobs"] == 1
    assert json.loads(found["config.json"])["loki"]["url"] == "http://127.0.0.1:1"
    assert json.loads(found["config.json"])["hardware"]["api"]["url"].endswith("/nodes/{node}")
    webhook = json.loads(found["config.json"])["notify"]["webhooks"][0]
    assert (webhook["url"], webhook["users"]) == ("http://127.0.0.1:1/[secret]", "1 names")
    assert checks["webhook-host"]["found"].startswith("webhook ops: nobody listens at 127.0.0.1:1")
    assert "sqlalchemy" in found["versions.json"].lower()
    assert found["metrics.txt"] == "not to be had: web.socket is not set\n"
    log = [json.loads(line) for line in found["service.log"].splitlines()]
    assert {"event": "decided", "level": "info", "job": "12_3", "cause": "segfault"} in log
    failed = next(each for each in log if each["event"] == "aside_failed")
    assert failed["exception"] == ["store/store.py:7 add", "ValueError"]
    assert log[-1] == {"lines_left_out": 1}


async def test_no_planted_secret_and_no_name_leaves_the_house(house: Path) -> None:
    await with_a_job(house)
    text = everything(await beside(lambda: bundle(house)))
    assert_no_secret(text)
    assert_no_name(text)


async def test_with_leave_names_and_words_go_along_and_secrets_do_not(house: Path) -> None:
    await with_a_job(house)
    found = await beside(lambda: bundle(house, "--with-names"))
    assert OWNER in found["service.log"]
    assert LINE in found["service.log"]
    assert_no_secret(everything(found))


async def test_a_database_with_a_password_and_a_user_of_its_own(house: Path, mysql: Schema) -> None:
    password = mysql.password_file.read_text().strip()
    config = yaml.safe_load((house / "config.yaml").read_text())
    config["database"] = mysql.section()
    (house / "config.yaml").write_text(yaml.safe_dump(config))
    with (house / "ajrd.log").open("a") as log:
        log.write(json.dumps({"event": "x", "why": f"mysql://{mysql.name}:{password}@db/x"}))
    for options in ((), ("--with-names",)):
        text = everything(await beside(lambda options=options: bundle(house, *options)))
        assert password not in text
        assert "127.0.0.1" in text
        (house / "support.tar.gz").unlink()


@pytest.mark.parametrize(
    "text",
    [
        f"database: {{url: 'mysql://ajrd:{INLINE}@db/ajrd'}}\n",
        f"database:\n  password: {INLINE}\n",
        f"loki:\n  auth: {{token: '{INLINE}'}}\n",
        f'database: {{password: "{INLINE}"\n',
    ],
)
def test_a_wrong_configuration_with_a_secret_in_it(house: Path, text: str) -> None:
    (house / "config.yaml").write_text(text)
    with (house / "ajrd.log").open("a") as log:
        log.write(json.dumps({"event": "x", "why": f"cannot use {INLINE}"}) + "\n")
    found = bundle(house, "--with-names", code=2)
    assert INLINE not in everything(found)
    assert "config.yaml" in found["config.json"]


def test_nothing_that_is_there_is_written_over(house: Path) -> None:
    target, link = house / "support.tar.gz", house / "link.tar.gz"
    link.symlink_to(target)
    for file in (house / "config.yaml", link):
        argv = ["--config", str(house / "config.yaml"), "--bundle", str(file)]
        done = CliRunner().invoke(cli, ["doctor", *argv])
        assert done.exit_code == 2
        assert "is there already" in done.output
    assert not target.exists()


def test_a_bundle_that_cannot_be_written_is_said_and_leaves_nothing(house: Path) -> None:
    file = house / "no" / "support.tar.gz"
    argv = ["--config", str(house / "config.yaml"), "--bundle", str(file)]
    done = CliRunner().invoke(cli, ["doctor", *argv])
    assert "cannot write the bundle" in str(done.exception)
    assert not os.path.lexists(file)


@pytest.mark.parametrize(
    "text",
    [
        "mysql://bob:s3cr3t@db/x",
        "https://s3cr3t@host/path",
        "password=s3cr3t rest",
        '{"db_password": "s3cr3t"}',
        "token: s3cr3t",
        "Authorization: Bearer s3cr3t.s3cr3t",
        "Authorization: MUNGE MUNGE:s3cr3tAAAA=:",
        "-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\ns3cr3t",
        "GRANT USAGE ON *.* TO x IDENTIFIED BY PASSWORD '*s3cr3t'",
    ],
)
def test_secrets_are_known_by_their_form(text: str) -> None:
    assert "s3cr3t" not in Redactor((), ())(text)


def test_a_short_secret_is_hidden_and_words_stay_whole() -> None:
    redact = Redactor(["abc", "x"], ["ada"])
    assert redact("abc is x for ada, adamant abcdef") == (
        "[secret] is [secret] for [user], adamant abcdef"
    )


def test_what_a_file_seems_to_hold() -> None:
    text = "a: 1\n  db_password: 'one'  # two\nurl: mysql://u:three@h/x\ntoken_file: /etc/t\n"
    assert {"one", "three"} <= guessed(text)
    assert "two" not in guessed(text)


def test_a_time_is_no_secret() -> None:
    now = datetime.now(UTC).isoformat()
    assert Redactor(["hunter2"], ["ada"])(now) == now
