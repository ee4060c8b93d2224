"""What stands at the end: the changes, the question whether to make them, and what comes next."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from ajrd.setup import closing, run
from ajrd.setup.console import Tone
from ajrd.setup.host import Host
from ajrd.setup.run import Planned
from tests.asking.conftest import MakeJob
from tests.asking.scripted import Scripted

CARRY, OVERWRITE = "Carry this out", "Overwrite it"
PLANNED = [
    Planned("units", ("write /etc/u (0644 root:root)\n--- /dev/null\n+++ /etc/u\n+[Unit]",)),
    Planned("hooks", ("put into slurm.conf:\n  Epilog=/e", "scontrol reconfigure")),
]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "etc/ajrd").mkdir(parents=True)
    return Host(tmp_path)


def test_a_configuration_of_somebody_else_is_asked_about_first(host: Host) -> None:
    host.path("/etc/ajrd/config.yaml").write_text("recovery: {mode: act}\n")
    assert closing.settle_config(Scripted({OVERWRITE: ["what", "y"]}), host, False)
    console = Scripted()
    with pytest.raises(click.Abort):
        closing.settle_config(console, host, False)
    assert console.said(Tone.DOUBT) == ["/etc/ajrd/config.yaml is not as setup has written it."]
    assert closing.settle_config(Scripted(), host, True), "asked for by --replace-config"


def test_without_one_nothing_is_asked(host: Host) -> None:
    console = Scripted()
    assert not closing.settle_config(console, host, False)
    assert console.asked == []


@pytest.mark.parametrize(("answer", "wanted"), [("", True), ("yes", True), ("n", False)])
def test_it_is_carried_out_by_whoever_says_so(answer: str, wanted: bool) -> None:
    assert closing.confirmed(Scripted({CARRY: ["perhaps", answer]}), PLANNED) is wanted


def test_differences_of_files_are_shown_to_whoever_wants_them() -> None:
    console = Scripted({CARRY: ["d", "y"]})
    assert closing.confirmed(console, PLANNED)
    assert console.said(Tone.ADDED) == ["      +++ /etc/u", "      +[Unit]"]


def test_changes_are_short_unless_they_are_asked_for(
    job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "preview", lambda *_: PLANNED)
    console = Scripted()
    closing.tell_changes(console, job(), False, whole=False)
    assert console.said(Tone.ADDED) == []
    assert "        Epilog=/e" in console.said(Tone.LINE), "what comes into slurm.conf is shown"


def test_a_host_that_is_right_has_nothing_to_change(
    job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "preview", lambda *_: [])
    console = Scripted()
    assert closing.tell_changes(console, job(), False, whole=True) == []
    assert "  none: everything is as it is wanted" in console.said(Tone.PLAIN)


def test_the_answers_are_told_without_any_secret(job: MakeJob) -> None:
    console = Scripted()
    closing.tell_answers(console, job(loki={"url": "http://loki", "tenants": ["a", "b"]}))
    lines = [line.split(maxsplit=1) for line in console.said(Tone.PLAIN) if line]
    assert ["loki.tenants", "a, b"] in lines
    assert not any("password" in key for key, _ in lines)


def test_what_to_do_next_depends_on_what_was_wanted(job: MakeJob) -> None:
    simple = "\n".join(closing.next_steps(job()))
    assert "verification.sh" in simple
    assert "ajrd report" in simple
    assert "other head node" not in simple
    pair = job(
        host={"pair": True}, database={"kind": "mysql"}, recovery={"mode": "act"},
        slurm={"rights": "given"}, hooks={"controller": True},
    )  # fmt: skip
    said = "\n".join(closing.next_steps(pair))
    assert "ajrd report" not in said
    assert "lines of the hooks into slurm.conf" in said
    assert "ajrd setup --answers setup-answers.yaml" in said
