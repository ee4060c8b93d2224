"""The description of the API (OpenAPI 3.1), made from the table of its operations.

What is described is what is served: the same table makes the routes, and the same models check and
word the answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

import ajrd
from ajrd.web import answer, apipage
from ajrd.web.models import ProblemDetails
from ajrd.web.problem import MEDIA_TYPE
from ajrd.web.routes import Operation
from ajrd.web.wanted import JOB_ID

#: What any operation may answer with.
_ANYWAY = (401, 403, 406, 429, 500, 503)
_REF = "#/components/schemas/{model}"
_PATH = {
    "jobid": {"type": "string", "pattern": JOB_ID},
    "number": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
}


def document(operations: Iterable[Operation], base_path: str) -> dict[str, Any]:
    """The whole description."""
    table = list(operations)
    refs, components = _schemas(table)
    paths: dict[str, dict[str, Any]] = {}
    for each in table:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ajrd",
            "version": ajrd.__version__,
            "description": "Autonomous job recovery for Slurm: what was seen, decided and done.",
        },
        "servers": [{"url": base_path or "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "munge": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "MUNGE and a credential as `munge -n` prints it, used once",
                }
            },
        },
        "security": [{"munge": []}, {}],
    }


_Refs = Mapping[Any, dict[str, Any]]


def _schemas(table: Iterable[Operation]) -> tuple[_Refs, dict[str, Any]]:
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ProblemDetails, "serialization")]
    for each in table:
        wanted.append((each.answer, "serialization"))
        wanted += [(each.body, "validation")] if each.body else []
    refs, found = models_json_schema(list(dict.fromkeys(wanted)), ref_template=_REF)
    return refs, found["$defs"]


def _operation(each: Operation, refs: _Refs) -> dict[str, Any]:
    media = {each.media: {"schema": _body(each, refs)}}
    problem = {MEDIA_TYPE: {"schema": refs[ProblemDetails, "serialization"]}}
    said: dict[str, Any] = {
        str(each.status): {"description": HTTPStatus(each.status).phrase, "content": media}
    }
    for status in sorted({*_ANYWAY, *each.problems}):
        said[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    told: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "parameters": [*_in_path(each.path), *_in_query(each)],
        "responses": said,
    }
    if each.body:
        schema = refs[each.body, "validation"]
        content = {"application/json": {"schema": schema}}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _body(each: Operation, refs: _Refs) -> dict[str, Any]:
    """A stream is text; its ``data`` lines are what the model says."""
    return refs[each.answer, "serialization"] if "json" in each.media else {"type": "string"}


def _in_path(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": _PATH[name]} for name in names]


def _in_query(each: Operation) -> list[dict[str, Any]]:
    if each.query is None:
        return []
    schema = each.query.model_json_schema(by_alias=True)
    return [
        {"name": name, "in": "query", "schema": _plain(told, schema.get("$defs", {}))}
        for name, told in schema["properties"].items()
    ]


def _plain(told: dict[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter is left out, not null; a named type is written out."""
    choices = [each for each in told.get("anyOf", []) if each.get("type") != "null"]
    schema = {**told, **(choices[0] if choices else {})}
    schema.pop("anyOf", None)
    if schema.get("default", ...) is None:
        del schema["default"]
    name = schema.pop("$ref", "").rpartition("/")[2]
    named = {key: defs[name][key] for key in ("type", "enum")} if name else {}
    return {key: value for key, value in {**schema, **named}.items() if key != "title"}


def routes(operations: Iterable[Operation], base_path: str) -> list[web.RouteDef]:
    """``/openapi.json``, and ``/api`` to read it."""
    told = document(operations, base_path)
    body, page = answer.encoded(told), apipage.page(told, base_path)

    async def as_json(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async def as_page(_request: web.Request) -> web.Response:
        return web.Response(body=page.encode(), content_type="text/html", charset="utf-8")

    async def style(_request: web.Request) -> web.Response:
        return web.Response(body=apipage.STYLE.encode(), content_type="text/css", charset="utf-8")

    return [
        web.get("/openapi.json", as_json),
        web.get("/api", as_page),
        web.get("/api/style.css", style),
    ]
