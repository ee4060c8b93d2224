"""Threads that may hang: one for each mount, so that a silent file server stops only its own.

The threads are daemons and belong to no executor, because a thread that the kernel does not let
go must not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_Work = tuple[Callable[[], Any], asyncio.AbstractEventLoop | None, "asyncio.Future[Any] | None"]


class Lane:
    """One named thread that does one piece of work after the other."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._serve, name=f"logs {name}", daemon=True)
        self._thread.start()

    def stuck_for(self) -> float:
        """How long the present piece of work has taken, seconds."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Does ``work`` in the thread; cancelling the future does not stop it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._work.put((work, loop, future))
        return future

    def post(self, work: Callable[[], None]) -> None:
        """Does ``work`` in the thread some time; nobody is told of its end."""
        self._work.put((work, None, None))

    def stop(self) -> None:
        """Ends the thread after what is queued; does not wait."""
        self._work.put(None)

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            work, loop, future = item
            self._busy_since = time.monotonic()
            result, error = _attempt(work)
            self._busy_since = None
            if loop is not None and not loop.is_closed():
                _tell(loop, future, result, error)


def _attempt(work: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return work(), None
    except BaseException as error:  # handed to whoever awaits the work
        return None, error


def _tell(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Any] | None,
    result: Any,
    error: BaseException | None,
) -> None:
    def settle() -> None:
        if future is None or future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop was closed between the question and the call
        return


class Lanes:
    """One lane for each name, for work that somebody waits for only so long."""

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self._lanes: dict[str, Lane] = {}
        self._given_up: dict[str, asyncio.Future[Any]] = {}

    async def run(self, name: str, work: Callable[[], T], limit: float) -> T:
        """Does ``work`` in the lane of ``name``.

        Raises TimeoutError after ``limit`` seconds, or at once until earlier work that was given
        up so is over: nothing piles up behind a silent server.
        """
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(f"{self._purpose} {name}")
        if name in self._given_up:
            raise TimeoutError(f"{name} has not answered for {lane.stuck_for():.0f} s")
        answer = lane.run(work)
        try:
            async with asyncio.timeout(limit):
                return await asyncio.shield(answer)
        except TimeoutError:
            self._give_up(name, answer)
            raise

    def _give_up(self, name: str, answer: asyncio.Future[Any]) -> None:
        """What is given up last is over last, and nobody asks for how it ended."""

        def over(answer: asyncio.Future[Any]) -> None:
            answer.exception()
            if self._given_up.get(name) is answer:
                del self._given_up[name]

        if not answer.done():
            self._given_up[name] = answer
            answer.add_done_callback(over)

    def stop(self) -> None:
        """Ends the threads; those that hang are left behind."""
        for lane in self._lanes.values():
            lane.stop()
        self._lanes.clear()
