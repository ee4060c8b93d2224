"""The API does what its own description says, whatever it is asked (schemathesis)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.schemas import OpenApiSchema

from ajrd.web import api, asking, listen
from tests.database.samples import a_job
from tests.web.serving import a_store, a_world

#: An operator by way of the proxy, so that there is something to be seen.
OPERATOR = {"X-Remote-User": "root"}
OPERATIONS = (*api.operations(), *asking.operations(), *listen.operations())
#: Each operation with what its description allows, and with what it forbids, if there is such.
ASKED = [
    (each.name, mode)
    for each in OPERATIONS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or each.query or "{" in each.path
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in a thread of its own, with a job in its store."""
    up: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    folder = tmp_path_factory.mktemp("described")
    thread = threading.Thread(target=lambda: asyncio.run(_serve(folder, up)))
    thread.start()
    url, loop, over = up.result(30)
    yield url
    loop.call_soon_threadsafe(over.set)
    thread.join(30)


async def _serve(
    folder: Path, up: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]]
) -> None:
    over = asyncio.Event()
    async with a_store(folder) as (store, address):
        await a_job(store)
        async with a_world(address, folder, requests_per_minute=1_000_000) as world:
            url = str(world.net._base_url).rstrip("/")
            up.set_result((url, asyncio.get_running_loop(), over))
            await over.wait()


@pytest.fixture(scope="module")
def described(address: str) -> Iterator[OpenApiSchema]:
    """The description as the server tells it; streams end at once, as their readers wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listen, "LIFE", 0.02)
        yield schemathesis.openapi.from_url(f"{address}/openapi.json", headers=OPERATOR)


def check(described: OpenApiSchema, name: str, mode: GenerationMode, examples: int) -> None:
    """Asks one operation so often, each time something else."""
    operation = described.find_operation_by_id(name)

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(headers=OPERATOR)

    ask()


@pytest.mark.parametrize(("name", "mode"), ASKED)
def test_the_api_is_as_described(described: OpenApiSchema, name: str, mode: GenerationMode) -> None:
    check(described, name, mode, 8)


@pytest.mark.full
@pytest.mark.parametrize(("name", "mode"), ASKED)
def test_the_api_is_as_described_at_length(
    described: OpenApiSchema, name: str, mode: GenerationMode
) -> None:
    check(described, name, mode, 300)
