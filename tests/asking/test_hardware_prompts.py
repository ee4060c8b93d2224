"""Each answer about the hardware service given wrongly once, against a service that refuses."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from ajrd.setup.console import Tone
from ajrd.setup.questions import Group
from ajrd.setup.wizard import ask_group
from tests.asking.conftest import MakeJob
from tests.asking.scripted import Scripted
from tests.database.server import a_certificate
from tests.outward.receiver import DENIED, Receiver, receiving

URL, TOKEN, CA = "URL to which", "File with its token", "File with the certificates"


def test_without_a_service_there_is_one_question(job: MakeJob) -> None:
    console = Scripted()
    ask_group(console, Group.HARDWARE, job())
    assert console.asked == ["URL to which suspected nodes are reported [none]"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("service/nodes", "is not http(s)://HOST"),
        ("http://127.0.0.1:1/nodes", "nobody listens at 127.0.0.1:1"),
        ("http://nowhere.invalid/nodes", "is not known here"),
    ],
    ids=["no-url", "nobody-there", "no-host"],
)
def test_a_wrong_address(job: MakeJob, url: str, words: str) -> None:
    with receiving() as receiver:
        console = Scripted({URL: [url, receiver.url]})
        found = ask_group(console, Group.HARDWARE, job())
    assert console.fault.startswith("hardware.url: ")
    assert words in console.fault
    assert found.answers.hardware.url == receiver.url


def a_token(tmp_path: Path, name: str = "token", mode: int = 0o600) -> str:
    file = tmp_path / name
    file.write_text("hunter2\n")
    file.chmod(mode)
    return str(file)


def test_a_token_that_is_refused(job: MakeJob, tmp_path: Path) -> None:
    with receiving(DENIED, DENIED) as receiver:
        console = Scripted({URL: [receiver.url], TOKEN: [a_token(tmp_path)]})
        found = ask_group(console, Group.HARDWARE, job())
    assert console.fault.startswith("hardware.token_file: ")
    assert "401: it refuses the token: check hardware.token_file" in console.fault
    assert found.secrets.hardware == "hunter2"
    assert "hunter2" not in console.shown


def test_a_token_that_nobody_gave(job: MakeJob, tmp_path: Path) -> None:
    with receiving(DENIED) as receiver:
        console = Scripted({URL: [receiver.url], TOKEN: ["none", a_token(tmp_path)]})
        ask_group(console, Group.HARDWARE, job())
    assert console.fault.startswith("hardware.token_file: ")
    assert "it wants a token" in console.fault


def test_a_token_that_everybody_may_read(job: MakeJob, tmp_path: Path) -> None:
    open_to_all = a_token(tmp_path, "open", 0o644)
    with receiving() as receiver:
        console = Scripted({URL: [receiver.url], TOKEN: [open_to_all, a_token(tmp_path)]})
        ask_group(console, Group.HARDWARE, job())
    assert console.fault.startswith("hardware.token_file: everybody may read")
    assert f"chmod o= {open_to_all}" in console.fault


def test_a_certificate_that_nobody_vouches_for(job: MakeJob, tmp_path: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(a_certificate(tmp_path))
    right = str(tmp_path / "certificate.pem")
    with receiving(tls=tls) as receiver:
        url = receiver.url.replace("http:", "https:")
        console = Scripted({URL: [url], CA: ["none", right]})
        ask_group(console, Group.HARDWARE, job())
    assert console.fault.startswith("hardware.ca: ")
    assert "certificate" in console.fault
    (good,) = console.said(Tone.GOOD)
    assert "TLS" in good


def test_no_node_is_reported_by_a_trial(job: MakeJob) -> None:
    with receiving() as receiver:
        ask_group(Scripted({URL: [f"{receiver.url}/nodes"]}), Group.HARDWARE, job())
        assert methods(receiver) == {"GET"}


def methods(receiver: Receiver) -> set[str]:
    return {each.method for each in receiver.sent}
