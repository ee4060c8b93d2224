"""The description of the API as a plain page: no script, nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = """\
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { border-top: 1px solid; margin-top: 2.5rem; padding-top: 1rem; }
code, pre { font: 0.9rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; border: 1px solid; padding: 0.5rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0; }
:focus-visible { outline: 3px solid; outline-offset: 2px; }
"""


def page(told: Mapping[str, Any], base_path: str) -> str:
    """One section an operation, one a type."""
    info = told["info"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<title>API of ajrd</title><link rel="stylesheet" href="{base_path}/api/style.css">',
        f"</head><body><main><h1>API of ajrd {escape(info['version'])}</h1>",
        f"<p>{escape(info['description'])}",
        f' The same for programs: <a href="{base_path}/openapi.json">openapi.json</a>.</p>',
        "<nav aria-label='Operations'><ul>",
    ]
    found = [
        (method.upper(), path, each)
        for path, methods in told["paths"].items()
        for method, each in methods.items()
    ]
    for method, path, each in found:
        parts.append(
            f'<li><a href="#{each["operationId"]}"><code>{method} {escape(path)}</code></a></li>'
        )
    parts.append("</ul></nav>")
    for method, path, each in found:
        parts += _operation(method, path, each)
    for name, schema in told["components"]["schemas"].items():
        parts += _type(name, schema)
    parts.append("</main></body></html>")
    return "".join(parts)


def _operation(method: str, path: str, each: Mapping[str, Any]) -> Iterator[str]:
    yield f'<section id="{each["operationId"]}"><h2><code>{method} {escape(path)}</code></h2>'
    yield f"<p>{escape(each['summary'])}</p>"
    if each["parameters"]:
        yield "<table><thead><tr><th>parameter</th><th>in</th><th>what</th></tr></thead><tbody>"
        for one in each["parameters"]:
            schema = one["schema"]
            limits = {key: value for key, value in schema.items() if key != "description"}
            what = f"{escape(schema.get('description', ''))} {_code(limits)}"
            yield f"<tr><td><code>{escape(one['name'])}</code></td><td>{one['in']}</td>"
            yield f"<td>{what}</td></tr>"
        yield "</tbody></table>"
    if "requestBody" in each:
        yield f"<p>Body: {_of(each['requestBody'])}</p>"
    yield "<ul>"
    for status, answer in each["responses"].items():
        yield f"<li>{status} {escape(answer['description'])}: {_of(answer)}</li>"
    yield "</ul></section>"


def _of(answer: Mapping[str, Any]) -> str:
    (media, content), *_ = answer["content"].items()
    name = content["schema"].get("$ref", "").rpartition("/")[2]
    link = f' <a href="#{escape(name)}">{escape(name)}</a>' if name else ""
    return f"<code>{escape(media)}</code>{link}"


def _type(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<section id="{escape(name)}"><h2>{escape(name)}</h2>'
    yield f"<pre>{escape(json.dumps(schema, indent=1))}</pre></section>"


def _code(value: Mapping[str, Any]) -> str:
    return f"<code>{escape(json.dumps(value))}</code>"
