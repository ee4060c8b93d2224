"""Where the reading of a log begins for an attempt. Pure.

One path may hold lines of several attempts, and of several jobs: Slurm truncates it at the start
of an attempt, or appends (``--open-mode``), and tells nobody which. Evidence of an earlier
attempt must never act on a later one, so what cannot be told apart is not read: the reading
then begins at the end of the file and says that it is *uncertain*. The rules, in their order:

1. this attempt has been read before: on from there (from 0 if the file was written anew);
2. the file appeared, or was seen to be truncated, after the attempt had begun: from 0;
3. it was made after the attempt had begun (birth time, where the file system knows it): from 0;
4. it was not written since the attempt began: all of it is older, from its end;
5. an earlier attempt was read in this very file:
   a. its bytes are gone: truncated for this attempt, from 0;
   b. its bytes are there and nothing behind them, yet the file was written: the same bytes were
      written anew (a job that fails alike each time), from 0;
   c. it had been read to its end: what follows is ours, on from there (uncertain if it had been
      written after this attempt began, because then the end came too late);
   d. else: from the end, uncertain;
6. nothing is known and this is the first attempt: from 0 if the name carries the job's number or
   the birth time is unknown (uncertain then); else the file was there before, and may have been
   appended to: from the end, uncertain;
7. nothing is known of a restarted job: from the end, uncertain.

Where it is *from the end*, the name carries the job's number, and the file was written well after
the attempt had begun, its last line is of this attempt all the same: what a run that hangs has
said last is read.

Times of file servers and of slurmctld are compared as they are, except by rules 3 and 4 for the
first attempt of the job in the name: nobody else can have written there in the seconds before, so
a file server whose clock is a little behind hides nothing. Slurm cuts its start time to the
second, so what was written in the attempt never looks older than the attempt on clocks that agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ajrd.model import ReadPosition

#: Slurm's start time is up to a second before the real start.
_START_SLACK = 1.0
#: By so much a write must be later than the start to be surely of the attempt, however the clocks
#: of file server and controller differ, seconds.
_SURELY_LATER = 10.0
#: By so much a file server's clock may be behind slurmctld's; no number of a job is given anew so
#: soon, seconds.
_BEHIND = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSeen:
    """An open file. Times are seconds since the epoch; ``born`` None: unknown.

    ``appeared``: the path led nowhere when it was first looked at. ``agrees`` tells whether the
    file still holds what was read up to a position, ``last_line`` where its last line begins.
    """

    inode: int
    size: int
    mtime_ns: int
    born: float | None
    appeared: bool
    agrees: Callable[[ReadPosition], bool]
    last_line: Callable[[], int]

    @property
    def mtime(self) -> float:
        """Last modification."""
        return self.mtime_ns / 1e9


@dataclass(frozen=True, slots=True)
class Earlier:
    """How far an earlier attempt was read in a file of the same path.

    ``drained_at_ns``: the file's modification time when this process read the attempt to its
    end; None if it did not, or was restarted since.
    """

    position: ReadPosition
    drained_at_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of an attempt and a path. ``began`` is seconds since the epoch.

    ``mine`` is the position stored for this very attempt, ``earlier`` those of others, newest
    first. ``truncated_at``: when this process last saw the path truncated or replaced.
    """

    began: float
    restarts: int
    name_is_ours: bool
    mine: ReadPosition | None = None
    earlier: Sequence[Earlier] = ()
    truncated_at: float | None = None


@dataclass(frozen=True, slots=True)
class StartPoint:
    """Begin at ``offset``; ``base`` is an agreeing position from which lines can be counted.

    ``lost`` is a position in a file that is no longer under this path: a rotated log whose rest
    is still to be read, if it can be found.
    """

    offset: int
    reason: str
    uncertain: bool = False
    base: ReadPosition | None = None
    lost: ReadPosition | None = None


def start_point(seen: FileSeen, known: Known) -> StartPoint:
    """Applies the rules above."""
    if known.mine is not None:
        return resume(seen, known.mine)
    return _certain(seen, known) or _behind_earlier(seen, known) or _unknown(seen, known)


def resume(seen: FileSeen, mine: ReadPosition) -> StartPoint:
    """On from a position of the same attempt."""
    if seen.agrees(mine):
        return StartPoint(mine.offset, "resumed", base=mine)
    if seen.inode != mine.inode:
        return StartPoint(0, "replaced since it was last read", lost=mine)
    return StartPoint(0, "truncated since it was last read")


def _certain(seen: FileSeen, known: Known) -> StartPoint | None:
    if seen.appeared:
        return StartPoint(0, "appeared during the attempt")
    if known.truncated_at is not None and known.truncated_at >= known.began:
        return StartPoint(0, "truncated during the attempt")
    if seen.born is not None and seen.born >= _oldest(known):
        return StartPoint(0, "made by the attempt")
    if seen.mtime < _oldest(known):
        base = next((e.position for e in known.earlier if seen.agrees(e.position)), None)
        return StartPoint(seen.size, "older than the attempt", base=base)
    return None


def _oldest(known: Known) -> float:
    """How old, by its file server's clock, a file may look that the attempt has written."""
    alone = known.restarts == 0 and known.name_is_ours and not known.earlier
    return known.began - (_BEHIND if alone else 0.0)


def _behind_earlier(seen: FileSeen, known: Known) -> StartPoint | None:
    here = [earlier for earlier in known.earlier if earlier.position.inode == seen.inode]
    if not here:
        return None
    standing = next((earlier for earlier in here if seen.agrees(earlier.position)), None)
    if standing is None:
        return StartPoint(0, "truncated for the attempt")
    where = standing.position
    if where.offset == seen.size and _written_since(seen, standing, known):
        return StartPoint(0, "written anew with the same bytes")
    if standing.drained_at_ns is not None:
        late = standing.drained_at_ns / 1e9 >= known.began + _START_SLACK
        return StartPoint(where.offset, "behind the earlier attempt", late, base=where)
    return _at_the_end(seen, known, "an earlier attempt may reach to here", where)


def _written_since(seen: FileSeen, earlier: Earlier, known: Known) -> bool:
    if earlier.drained_at_ns is not None:
        return seen.mtime_ns != earlier.drained_at_ns
    return seen.mtime >= known.began + _START_SLACK


def _unknown(seen: FileSeen, known: Known) -> StartPoint:
    if known.restarts == 0 and known.name_is_ours:
        return StartPoint(0, "the first attempt of the job in its name")
    if known.restarts == 0 and seen.born is None:
        return StartPoint(0, "first attempt; the age of the file is unknown", True)
    return _at_the_end(seen, known, "older lines may be of another attempt")


def _at_the_end(
    seen: FileSeen, known: Known, why: str, base: ReadPosition | None = None
) -> StartPoint:
    """Before the last line if that is surely of the attempt, else behind it."""
    ours = known.name_is_ours and seen.mtime >= known.began + _SURELY_LATER
    start = max(seen.last_line(), base.offset if base else 0) if ours else seen.size
    return StartPoint(start, why, True, base=base)
