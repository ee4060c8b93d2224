"""The configuration, and the answers from which it was made."""

from __future__ import annotations

from collections.abc import Iterator

from ajrd import config as settings
from ajrd import share
from ajrd.errors import SetupError
from ajrd.setup import wanted
from ajrd.setup.answers import Answers, Rights
from ajrd.setup.book import Before, Book
from ajrd.setup.host import Host
from ajrd.setup.making import Change, Owner, Text, Work, digest_of, file, look
from ajrd.setup.reach import require_reach
from ajrd.setup.steps.people import service_group


def config(work: Work) -> Iterator[Change]:
    """``config.yaml``; what people have written there is not overwritten unasked."""
    text = wanted.config(work.job.answers, work.job.facts)
    settings.parse(text, wanted.CONFIG)
    _require_certificates(work)
    owner = Owner("root", service_group(work))
    seen = look(work.host, wanted.CONFIG)
    if seen is not None and seen.text != text and not is_replaceable(work.host):
        if _serves(work, seen, text, owner):
            return
        if not work.replace_config:
            raise SetupError(
                f"{wanted.CONFIG} is not as setup has written it: somebody has changed it. Take"
                f" the changes into `extra` of {wanted.ANSWERS} (docs/setup.md), or give them up,"
                " keeping a copy: ajrd setup --replace-config"
            )
        copy = f"{wanted.CONFIG}.before-setup-{work.now:%Y%m%dT%H%M%S}"
        yield from file(work, Text(copy, seen.text, seen.mode, owner))
    yield from file(work, Text(wanted.CONFIG, text, 0o640, owner, restart=True))


def _serves(work: Work, seen: Before, text: str, owner: Owner) -> bool:
    """May a file that people have changed stay, as nothing else is wanted than when it was made?"""
    known = work.book.file(wanted.CONFIG)
    same = known is not None and known.sha256[-1] == digest_of(text)
    fits = (seen.mode, seen.uid, seen.gid) == (0o640, *owner.numbers(work.host))
    return same and fits and not work.replace_config


def _require_certificates(work: Work) -> None:
    """They stay where they are, and the service must be able to read them there."""
    given = work.job.answers
    user = wanted.service_user(given, work.job.facts)
    for section in ("database", "loki", "hardware"):
        if path := getattr(given, section).ca:
            require_reach(work.host, user, path, f"{section}.ca")


def is_replaceable(host: Host) -> bool:
    """Is it missing, or what setup has written, or the example that a package brings along?"""
    seen = look(host, wanted.CONFIG)
    if seen is None:
        return True
    known = Book.read(host).file(wanted.CONFIG)
    if known is not None and digest_of(seen.text) in known.sha256:
        return True
    return seen.text == share.path("etc/ajrd/config.yaml").read_text(encoding="utf-8")


def _must_agree(given: Answers) -> bool:
    """Must the other head node give the user the number that it has here?"""
    return given.host.pair and given.slurm.rights is not Rights.SLURM_USER


def answers(work: Work) -> Iterator[Change]:
    """They are kept for the next run, without any secret."""
    given = work.job.answers
    seen = work.host.user(wanted.USER)
    uid = seen.uid if seen and _must_agree(given) else given.host.uid
    text = wanted.kept_answers(given, uid)
    yield from file(work, Text(wanted.ANSWERS, text, 0o640, Owner("root", service_group(work))))
