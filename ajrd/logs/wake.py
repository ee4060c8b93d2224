"""inotify as an accelerator: tells of writes to local log files before their next poll.

It does not see what other nodes write, so nothing depends on it; where it fails, polling goes
on alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import structlog
from watchfiles import Change, awatch

log = structlog.get_logger("ajrd.logs")

#: Folders watched at most; each costs the user's share of inotify watches.
MAX_FOLDERS = 1024
#: Pause after a failure, seconds.
_AGAIN = 10.0


class Waker:
    """Watches the folders of the paths that are followed and calls ``wake`` with a path."""

    def __init__(self, wake: Callable[[str], None]) -> None:
        self._wake = wake
        self._paths: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._warned = False

    def add(self, path: str) -> None:
        """Begins to watch a real path."""
        known = path in self._paths
        self._paths[path] = self._paths.get(path, 0) + 1
        if not known:
            self._changed.set()

    def discard(self, path: str) -> None:
        """Takes back one :meth:`add`."""
        left = self._paths.get(path, 0) - 1
        if left > 0:
            self._paths[path] = left
        elif self._paths.pop(path, None) is not None:
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled. A change of the folders restarts the watch."""
        while True:
            self._changed.clear()
            folders = self._folders()
            if not folders:
                await self._changed.wait()
                continue
            await self._watch(folders)

    def _folders(self) -> list[str]:
        """Those that may be watched: a closed home would keep all others from it, too."""
        folders = {os.path.dirname(path) for path in self._paths}
        return sorted(folder for folder in folders if _is_open(folder))[:MAX_FOLDERS]

    async def _watch(self, folders: list[str]) -> None:
        stop = asyncio.Event()
        stopper = asyncio.create_task(self._stop_on_change(set(folders), stop))
        try:
            async for changes in awatch(
                *folders,
                watch_filter=self._is_followed,
                debounce=50,
                step=10,
                stop_event=stop,
                recursive=False,
            ):
                for _, path in changes:
                    self._wake(path)
        except (OSError, RuntimeError) as error:
            self._complain(error)
            await asyncio.sleep(_AGAIN)
        finally:
            stopper.cancel()

    async def _stop_on_change(self, watched: set[str], stop: asyncio.Event) -> None:
        """Leaves the watch alone while the folders stay the same."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if set(self._folders()) != watched:
                break
        stop.set()

    def _is_followed(self, _change: Change, path: str) -> bool:
        return path in self._paths

    def _complain(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            log.warning("no_inotify", why=str(error), meaning="log files are only polled")


def _is_open(folder: str) -> bool:
    """inotify_add_watch(2) wants to read it."""
    return os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)
