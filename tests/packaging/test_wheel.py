"""The wheel and the source distribution: whole, the same each time, and usable where they lie."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from ajrd import share
from ajrd.errors import ConfigError

ROOT = Path(__file__).parents[2]
#: What `ajrd.share` is asked for in an installed ajrd.
SHARED = (
    "etc/ajrd",
    "etc/alloy",
    "etc/fluent-bit",
    "etc/grafana",
    "etc/prometheus",
    "etc/promtail",
    "slurm/hooks",
    "slurm/jobs",
    "systemd",
)


def build(source: Path, folder: Path, epoch: int) -> Path:
    """Both distributions of ``source``, in ``folder``."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
        check=True,
        capture_output=True,
    )
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def names_below(*tops: str) -> set[str]:
    """The files of the source tree below ``tops``, without what Python leaves there."""
    found = (path for top in tops for path in (ROOT / top).rglob("*") if path.is_file())
    return {str(p.relative_to(ROOT)) for p in found if "__pycache__" not in p.parts}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("built"), 1_700_000_000)


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel alone was installed."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    wheel = next(built.glob("*.whl"))
    subprocess.run([*pip, "--target", str(folder), str(wheel)], check=True, capture_output=True)
    return folder


def in_installed(folder: Path, *argv: str) -> str:
    """What Python says that finds ajrd in ``folder`` and nowhere else."""
    done = subprocess.run(
        [sys.executable, *argv],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_whoever_builds_the_source_again_gets_the_same_bytes(
    built: Path, unpacked: Path, tmp_path: Path
) -> None:
    """The second build has other folders, other times of files, and the sdist as its source."""
    again = build(unpacked, tmp_path, 1_700_000_000)
    assert files_of(again) == files_of(built)


def test_the_age_of_the_source_is_the_only_date_in_it(built: Path, tmp_path: Path) -> None:
    other = build(ROOT, tmp_path, 1_600_000_000)
    assert files_of(other).keys() == files_of(built).keys()
    assert files_of(other) != files_of(built)


def test_the_wheel_has_every_file_of_the_package_and_those_it_shares(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    shared = {f"ajrd/share/{name}" for name in names_below(*SHARED)}
    assert names == names_below("ajrd") | shared


def test_the_source_distribution_has_what_is_needed_to_build_test_and_read(unpacked: Path) -> None:
    tops = ("ajrd", "bench", "docs", "etc", "slurm", "systemd", "tests")
    found = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert names_below(*tops) <= found
    assert {"README.md", "LICENSE", "CHANGELOG.md", "requirements.lock"} <= found
    assert os.access(unpacked / "etc/debian/build", os.X_OK)


def test_an_installed_ajrd_finds_what_it_brings_along(installed: Path) -> None:
    code = "import sys; from ajrd.share import path; print(*map(path, sys.argv[1:]), sep='\\n')"
    said = in_installed(installed, "-c", code, *sorted(names_below(*SHARED)))
    for line in said.splitlines():
        assert line.startswith(f"{installed}/ajrd/share/")
        assert Path(line).is_file()
    assert os.access(installed / "ajrd/share/slurm/hooks/srun-prolog", os.X_OK)


def test_an_installed_ajrd_has_its_rules_and_makes_its_tables(
    installed: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"database: {{url: 'sqlite:///{tmp_path}/history'}}\n")
    no_site_rules = tmp_path / "rules.d"
    no_site_rules.mkdir()
    assert "right" in in_installed(installed, "-m", "ajrd", "rules", "check", str(no_site_rules))
    in_installed(installed, "-m", "ajrd", "db", "upgrade", "--config", str(config))
    assert (tmp_path / "history").exists()


def test_a_clone_finds_them_beside_the_package() -> None:
    assert share.path("systemd/ajrd.service") == ROOT / "systemd/ajrd.service"


def test_what_is_missing_is_named_with_the_place_where_it_should_be() -> None:
    with pytest.raises(ConfigError, match=r"systemd/none\.service is missing in .*/ajrd/share"):
        share.path("systemd/none.service")
