"""Puts the hooks onto a host, takes them away, and knows their lines in slurm.conf.

slurm.conf is changed only when that is asked for: ajrd's lines stand between two comments, the file
that was is kept beside it, and a key that the site uses already is left to people.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from ajrd import share
from ajrd.errors import ConfigError

#: Each hook with its key in slurm.conf.
HOOKS: Mapping[str, str] = {
    "epilog": "Epilog",
    "epilog-slurmctld": "EpilogSlurmctld",
    "prolog-slurmctld": "PrologSlurmctld",
    "srun-prolog": "SrunProlog",
}
#: Those that put messages into a folder of :class:`~ajrd.config.HooksSection`.
TELLING = ("epilog", "epilog-slurmctld", "prolog-slurmctld")
_BEGIN, _END = "# ajrd hooks: begin", "# ajrd hooks: end"
_FOLDER = re.compile(r"^(hook_dir|report_dir)=\$\{(\w+):-([^}\n]*)\}$", re.MULTILINE)
_PLAIN = re.compile(r"/[\w./+-]*", re.ASCII)


def source(name: str) -> str:
    """The text of a hook; raises ConfigError if this ajrd has it not."""
    return share.path(f"slurm/hooks/{name}").read_text(encoding="utf-8")


def text_of(name: str, spool: str | None, reports: str | None) -> str:
    """The hook, with the folders it writes into; None leaves that of the source."""
    folders = {"hook_dir": spool, "report_dir": reports}
    for folder in (spool, reports):
        if folder is not None and not _PLAIN.fullmatch(folder):
            raise ConfigError(f"{folder!r} must be an absolute path of letters, digits and ./+_-")

    def put_in(match: re.Match[str]) -> str:
        return f"{match[1]}=${{{match[2]}:-{folders[match[1]] or match[3]}}}"

    return _FOLDER.sub(put_in, source(name))


def folder_of(text: str) -> str:
    """The folder that an installed hook writes into by itself."""
    match = _FOLDER.search(text)
    return match[3] if match else ""


def is_ours(name: str, text: str) -> bool:
    """Is this file a hook of ajrd's, of whichever version?"""
    lines = text.splitlines()[:2]
    return len(lines) == 2 and lines[1].startswith(f"# {HOOKS[name]}= in slurm.conf: tells ajrd")


def install(folder: Path, names: Sequence[str], spool: str | None, reports: str | None) -> None:
    """Writes the hooks; raises ConfigError, before anything is written, for a file of others."""
    texts = {name: text_of(name, spool, reports) for name in names}
    for name in names:
        _require_ours(folder, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            _write(folder / name, text, 0o755)
    except OSError as error:
        raise ConfigError(f"cannot write the hooks into {folder}: {error}") from None


def remove(folder: Path, names: Sequence[str]) -> list[Path]:
    """Deletes the hooks that are there; gives their paths. Files of others stay."""
    there = [folder / name for name in names if _require_ours(folder, name)]
    for path in there:
        path.unlink()
    with suppress(OSError):
        folder.rmdir()
    return there


def _require_ours(folder: Path, name: str) -> bool:
    """Is the hook there? Raises ConfigError if the name is taken by something else."""
    path = folder / name
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    if not is_ours(name, text):
        raise ConfigError(f"{path} is not ajrd's; choose another --dir or move it away")
    return True


# slurm.conf


def lines_for(folder: Path, names: Sequence[str]) -> list[str]:
    """What slurm.conf is to say."""
    return [f"{HOOKS[name]}={folder / name}" for name in names]


def named_in(conf: str, folder: Path, names: Sequence[str]) -> list[str]:
    """The hooks in this folder that a slurm.conf names outside of comments."""
    active = [line.partition("#")[0] for line in conf.splitlines()]
    return [name for name in names if any(str(folder / name) in line for line in active)]


def with_lines(conf: str, folder: Path, names: Sequence[str]) -> str:
    """slurm.conf with ajrd's lines; raises ConfigError for keys that the site uses itself."""
    return with_hooks(conf, {name: folder / name for name in names})


def with_hooks(conf: str, hooks: Mapping[str, Path]) -> str:
    """The same for hooks that lie in different folders."""
    rest = without_lines(conf)
    used = [line for line in rest.splitlines() if _key(line) in {HOOKS[n].lower() for n in hooks}]
    if used:
        raise ConfigError(
            f"slurm.conf says already: {'; '.join(map(str.strip, used))}. Call ajrd's hook at the"
            " end of that script, or leave it out with --only"
        )
    block = "\n".join([_BEGIN, *(f"{HOOKS[name]}={path}" for name, path in hooks.items()), _END])
    return f"{rest}{'' if rest.endswith(chr(10)) or not rest else chr(10)}{block}\n"


def without_lines(conf: str) -> str:
    """slurm.conf without ajrd's lines; everything else stays as it is, to the byte."""
    return "".join(_outside(conf.splitlines(keepends=True)))


def _outside(lines: Sequence[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        if line.strip() == _BEGIN:
            inside = True
        if not inside:
            yield line
        if line.strip() == _END:
            inside = False
    if inside:
        raise ConfigError(f"slurm.conf has {_BEGIN!r} without {_END!r}; mend that by hand")


def _key(line: str) -> str:
    return line.partition("#")[0].partition("=")[0].strip().lower()


def edit(conf: Path, text: str, now: datetime) -> Path | None:
    """Replaces slurm.conf as a whole and gives the copy of what was; None: nothing to change.

    Owner, group and mode stay. Raises ConfigError.
    """
    try:
        before, seen = conf.read_text(encoding="utf-8"), conf.stat()
        if before == text:
            return None
        backup = conf.with_name(backup_name(conf.name, now))
        _write(backup, before, seen.st_mode & 0o777, seen)
        _write(conf.resolve(), text, seen.st_mode & 0o777, seen)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot change {conf}: {error}") from None
    return backup


def backup_name(name: str, now: datetime) -> str:
    """What the copy of slurm.conf is called."""
    return f"{name}.before-ajrd-{now:%Y%m%dT%H%M%S}"


def _write(path: Path, text: str, mode: int, like: os.stat_result | None = None) -> None:
    """A whole file or none."""
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if like is not None:
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, mode)
        os.rename(new, path)
    except BaseException:
        os.unlink(new)
        raise
