"""``ajrd hooks``: what it writes, what it refuses, and that slurm.conf comes back as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ajrd.cli.main import cli
from ajrd.errors import ConfigError
from ajrd.hooks import install as installing
from ajrd.hooks.install import HOOKS, TELLING

#: With a comment, a key in another case, and no newline at its end.
CONF = "ClusterName=lab # Epilog=/old\nprologflags=Contain\n#EpilogSlurmctld=/x\nNodeName=n1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "hooks"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "slurm.conf"
    path.write_text(CONF)
    path.chmod(0o640)
    return path


def run(command: str, folder: Path, conf: Path, *options: str) -> Result:
    argv = ["hooks", command, "--dir", str(folder), *options]
    if command != "test":
        argv += ["--slurm-conf", str(conf)]
    return CliRunner().invoke(cli, argv)


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def refused(result: Result) -> str:
    assert isinstance(result.exception, ConfigError)
    return str(result.exception)


def test_it_writes_the_hooks_and_says_what_slurm_conf_is_to_say(folder: Path, conf: Path) -> None:
    said = done(run("install", folder, conf))
    for name, key in HOOKS.items():
        assert f"{key}={folder}/{name}\n" in said
        assert os.access(folder / name, os.X_OK)
        assert (folder / name).read_text() == installing.source(name)
    assert conf.read_text() == CONF


def test_the_folders_that_hooks_write_into_can_be_named(folder: Path, conf: Path) -> None:
    done(run("install", folder, conf, "--spool", "/shared/hooks", "--reports", "/shared/steps"))
    for name in HOOKS:
        named = "/shared/hooks" if name in TELLING else "/shared/steps"
        assert installing.folder_of((folder / name).read_text()) == named


@pytest.mark.parametrize("odd", ["relative", "/a b", "/a}$(reboot)", '/a"', "/a\nb"])
def test_a_folder_that_a_shell_would_take_for_more_is_refused(
    folder: Path, conf: Path, odd: str
) -> None:
    assert "must be an absolute path" in refused(run("install", folder, conf, "--spool", odd))
    assert not folder.exists()


def test_a_file_of_somebody_else_is_not_replaced_and_nothing_is_half_done(
    folder: Path, conf: Path
) -> None:
    folder.mkdir()
    (folder / "srun-prolog").write_text("#!/bin/sh\n# ours\n")
    assert "is not ajrd's" in refused(run("install", folder, conf))
    assert [path.name for path in folder.iterdir()] == ["srun-prolog"]
    assert "is not ajrd's" in refused(run("remove", folder, conf))


def test_it_can_be_installed_again(folder: Path, conf: Path) -> None:
    done(run("install", folder, conf, "--edit"))
    once = conf.read_text()
    assert "says so already" in done(run("install", folder, conf, "--edit"))
    assert conf.read_text() == once


def test_slurm_conf_is_changed_when_that_is_asked_for_and_comes_back_as_it_was(
    folder: Path, conf: Path
) -> None:
    conf.write_text(CONF + "\n")
    done(run("install", folder, conf, "--edit"))
    assert f"\nEpilog={folder}/epilog\n" in conf.read_text()
    assert conf.stat().st_mode & 0o777 == 0o640
    (backup,) = conf.parent.glob("slurm.conf.before-ajrd-*")
    assert backup.read_text() == CONF + "\n"
    done(run("remove", folder, conf, "--edit"))
    assert conf.read_text() == CONF + "\n"


def test_hooks_are_removed_only_when_slurm_has_been_told(folder: Path, conf: Path) -> None:
    """Slurm drains a node whose epilog is missing."""
    done(run("install", folder, conf, "--edit"))
    assert "still names epilog" in refused(run("remove", folder, conf))
    assert "once more" in done(run("remove", folder, conf, "--edit"))
    assert len([*folder.iterdir()]) == len(HOOKS)
    done(run("remove", folder, conf))
    assert not folder.exists()


def test_what_the_site_has_added_to_the_folder_stays(folder: Path, conf: Path) -> None:
    done(run("install", folder, conf))
    (folder / "own").touch()
    done(run("remove", folder, conf))
    assert [path.name for path in folder.iterdir()] == ["own"]


def test_a_key_that_the_site_uses_itself_is_left_to_it(folder: Path, conf: Path) -> None:
    conf.write_text(CONF + "\nepilog = /site/epilog\n")
    said = refused(run("install", folder, conf, "--edit"))
    assert "epilog = /site/epilog" in said
    assert not folder.exists()
    done(run("install", folder, conf, "--edit", "--only", "epilog-slurmctld"))
    assert "Epilog=" not in conf.read_text().replace(CONF, "")


def test_a_slurm_conf_that_cannot_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    said = refused(run("install", folder, tmp_path / "none", "--edit"))
    assert "cannot read" in said
    assert "--slurm-conf" in said


def test_each_hook_can_be_tried(folder: Path, conf: Path, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    done(run("install", folder, conf, "--spool", str(spool)))
    assert done(run("test", folder, conf)).splitlines() == [f"{name}: well" for name in TELLING]
    assert not [*spool.iterdir()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 1", "exit status 1"),
        ("echo x", "exit status 0: b'x"),
        ("exit 0", "tells nothing"),
        ("echo x >$AJRD_HOOK_DIR/1", "tells nothing"),
    ],
)
def test_a_hook_that_does_not_work_is_found_out(
    folder: Path, conf: Path, text: str, said: str
) -> None:
    folder.mkdir()
    (folder / "epilog").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "epilog").chmod(0o755)
    result = run("test", folder, conf)
    assert result.exit_code == 3
    assert said in result.output


def test_a_spool_that_is_not_there_is_found_out(folder: Path, conf: Path, tmp_path: Path) -> None:
    done(run("install", folder, conf, "--spool", str(tmp_path / "none")))
    result = run("test", folder, conf)
    assert result.exit_code == 3
    assert f"{tmp_path}/none is not there" in result.output


def test_without_hooks_there_is_nothing_to_try(folder: Path, conf: Path) -> None:
    assert "no hook of ajrd" in refused(run("test", folder, conf))
