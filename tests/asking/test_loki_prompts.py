"""Each answer about Loki given wrongly once, against a Loki that refuses, is away, or is none."""

from __future__ import annotations

import shutil
import ssl
import time
from pathlib import Path

import pytest

from ajrd.config import LokiSection
from ajrd.loki.checkup import client_of
from ajrd.loki.client import Loki
from ajrd.setup import try_loki
from ajrd.setup.answers import LokiAnswers
from ajrd.setup.console import Tone
from ajrd.setup.questions import Group
from ajrd.setup.wizard import ask_group
from tests.asking.conftest import MakeJob
from tests.asking.scripted import Scripted
from tests.database.server import a_certificate
from tests.loki.double import Double, basic
from tests.loki.shipping import Shipper

URL, USER, PASSWORD, TOKEN = "URL of Loki", "User", "Password of that user", "Or a bearer token"
JOBS, TENANTS, CA = "Selectors of the streams", "Tenants", "File with the certificates"


def test_a_right_answer_says_which_loki_it_is(double: Double, job: MakeJob) -> None:
    Shipper(double.url).push(
        {"job": "slurm"}, [(time.time_ns() - 10**9, "a line")], {"job_id": "7"}
    )
    console = Scripted({URL: [double.url]})
    ask_group(console, Group.LOKI, job())
    assert console.said(Tone.FAULT) == console.said(Tone.DOUBT) == []
    assert console.said(Tone.GOOD) == ["Loki 3.3.2 is ready"]


def test_without_loki_there_is_one_question(job: MakeJob) -> None:
    console = Scripted()
    found = ask_group(console, Group.LOKI, job())
    assert console.asked == ["URL of Loki, if logs are shipped there [none]"]
    assert found.answers.loki.url is None


def test_without_loki_nothing_is_left_of_what_was_answered_about_it(job: MakeJob) -> None:
    before = job(loki={"url": "http://loki", "user": "ada", "password_file": "/none", "nodes": []})
    found = ask_group(Scripted({URL: ["none"]}), Group.LOKI, before)
    assert found.answers.loki == LokiAnswers()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("loki.example.org", "is not http(s)://HOST"),
        ("http://ada:secret@127.0.0.1", "must not hold a user or a password"),
        ("http://127.0.0.1:1", "Connect call failed"),
    ],
    ids=["no-url", "with-password", "nobody-there"],
)
def test_a_wrong_address(double: Double, job: MakeJob, url: str, words: str) -> None:
    console = Scripted({URL: [url, double.url]})
    found = ask_group(console, Group.LOKI, job())
    assert console.fault.startswith("loki.url: ")
    assert words in console.fault
    assert found.answers.loki.url == double.url


def test_a_loki_that_does_not_answer(
    double: Double, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(try_loki, "REQUEST", 0.3)
    double.frozen.set()
    console = Scripted({URL: [double.url, "none"]})
    ask_group(console, Group.LOKI, job())
    double.frozen.clear()
    assert console.fault == f"loki.url: {double.url} did not answer in time"


def test_something_that_is_no_loki(double: Double, job: MakeJob) -> None:
    double.refusals.extend([(200, "welcome", {}), (200, "<html>", {})])
    console = Scripted({URL: [double.url, double.url]})
    ask_group(console, Group.LOKI, job())
    assert console.fault.startswith("loki.url: the build information is not Loki's")


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_password_is_asked_for_anew_and_shown_nowhere(
    double: Double, job: MakeJob, status: int
) -> None:
    double.secret = basic("ada", "right")
    if status == 403:
        double.refusals.append((403, "forbidden", {}))
    first = "wrong" if status == 401 else "right"
    console = Scripted({URL: [double.url], USER: ["ada"], PASSWORD: [first, "right"]})
    found = ask_group(console, Group.LOKI, job())
    assert console.fault.startswith("loki.password_file: Loki does not let ajrd read")
    assert f"HTTP {status}" in console.fault
    assert console.hidden == [f"{PASSWORD} [none]"] * 2
    assert found.secrets.loki == "right"
    assert "right" not in console.shown


def test_a_wrong_token(double: Double, job: MakeJob) -> None:
    double.secret = "Bearer right"
    console = Scripted({URL: [double.url], TOKEN: ["wrong", "right"]})
    ask_group(console, Group.LOKI, job())
    assert console.fault.startswith("loki.token_file: Loki does not let ajrd read (HTTP 401")


def test_a_user_that_nobody_named(double: Double, job: MakeJob) -> None:
    double.secret = "Bearer right"
    console = Scripted({URL: [double.url], TOKEN: ["", "right"]})
    ask_group(console, Group.LOKI, job())
    assert console.fault.startswith("loki.user: Loki does not let ajrd read (HTTP 401")


def test_a_tenant_that_nobody_named(double: Double, job: MakeJob) -> None:
    double.must_name_tenant = True
    console = Scripted({URL: [double.url], TENANTS: ["", "hpc"]})
    found = ask_group(console, Group.LOKI, job())
    assert console.fault.startswith("loki.tenants: ")
    assert "no org id" in console.fault
    assert found.answers.loki.tenants == ("hpc",)


def test_a_tenant_that_cannot_be_one(double: Double, job: MakeJob) -> None:
    console = Scripted({URL: [double.url], TENANTS: ["a b", "ab"]})
    ask_group(console, Group.LOKI, job())
    assert console.fault == "loki.tenants: 'a b' cannot be a tenant"


@pytest.mark.parametrize("selector", ["slurm", "{job=}"])
def test_a_selector_that_is_none(double: Double, job: MakeJob, selector: str) -> None:
    console = Scripted({URL: [double.url], JOBS: [selector, '{job="slurm",cluster="c"}']})
    found = ask_group(console, Group.LOKI, job())
    assert console.fault.startswith("loki.jobs: ")
    assert found.answers.loki.jobs == ('{job="slurm",cluster="c"}',)


def test_a_selector_without_lines_is_a_doubt_and_no_fault(double: Double, job: MakeJob) -> None:
    console = Scripted({URL: [double.url], JOBS: ['{job="a",x="b"}, {job="c"}']})
    ask_group(console, Group.LOKI, job())
    assert console.said(Tone.FAULT) == []
    assert [each.partition(" has no line")[0] for each in console.said(Tone.DOUBT)] == [
        '{job="a",x="b"}',
        '{job="c"}',
    ]


@pytest.fixture
def secured(double: Double, tmp_path: Path) -> Double:
    """A Loki that speaks TLS; its certificate is ``certificate.pem`` beside the test's root."""
    file = a_certificate(tmp_path)
    double.stop()
    double.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    double.tls.load_cert_chain(file)
    double.start()
    return double


def test_a_certificate_that_nobody_vouches_for(
    secured: Double, job: MakeJob, tmp_path: Path
) -> None:
    right = str(tmp_path / "certificate.pem")
    console = Scripted({URL: [secured.url], CA: ["none", right]})
    found = ask_group(console, Group.LOKI, job())
    assert console.fault.startswith("loki.ca: ")
    assert "certificate" in console.fault
    assert found.answers.loki.ca == right


def test_a_file_of_certificates_that_is_none(secured: Double, job: MakeJob, tmp_path: Path) -> None:
    right = str(tmp_path / "certificate.pem")
    console = Scripted({URL: [secured.url], CA: ["/none.pem", right]})
    ask_group(console, Group.LOKI, job())
    assert console.fault == "loki.ca: /none.pem cannot be read, or holds no certificate (PEM)"


def test_certificates_that_the_service_could_not_read(
    secured: Double, job: MakeJob, tmp_path: Path, root: Path
) -> None:
    right = tmp_path / "certificate.pem"
    shown = root / right.relative_to("/")
    shown.parent.mkdir(parents=True)
    shown.touch(0o600)
    console = Scripted({URL: [secured.url, "none"], CA: [str(right)]})
    ask_group(console, Group.LOKI, job())
    shutil.rmtree(root / right.parts[1])
    assert console.fault.startswith(f"loki.ca: the file {right} is out of reach for the user ajrd")


def test_the_typed_secret_is_in_no_file(
    double: Double, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is handed on in memory, and gone when the trial is over."""
    seen: list[str | None] = []

    def noted(section: LokiSection, tenant: str) -> Loki:
        seen.append(section.auth.token_file)
        return client_of(section, tenant)

    monkeypatch.setattr(try_loki, "client_of", noted)
    console = Scripted({URL: [double.url], TOKEN: ["a token"]})
    ask_group(console, Group.LOKI, job())
    (name,) = seen
    assert name is not None
    assert name.startswith("/proc/self/fd/")
    assert not Path(name).exists()
