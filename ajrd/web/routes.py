"""What an operation of the API is: its handler, and what its description is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel

#: Where the API begins, behind ``web.base_path``.
PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method on one path; ``status`` is that of its answer.

    ``problems`` are the statuses of its errors, besides those that everything may have.
    """

    name: str
    method: str
    path: str
    summary: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    answer: type[BaseModel]
    status: int = 200
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()
    media: str = "application/json"

    def route(self) -> web.RouteDef:
        """As aiohttp takes it."""
        return web.RouteDef(self.method, self.path, self.handler, {})
