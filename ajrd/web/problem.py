"""Errors as the reader sees them: problem details (RFC 9457), or a page for a browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from ajrd.errors import AjrdError
from ajrd.web.answer import encoded

MEDIA_TYPE = "application/problem+json"
#: Makes the page of an error: by the request, the status and a sentence.
ERROR_PAGE: web.AppKey[Callable[[web.Request, int, str], web.Response]] = web.AppKey("error_page")


class Problem(AjrdError):
    """Why a request is not answered: ``detail`` is a sentence, ``more`` further members."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def document(self, request_id: str) -> dict[str, Any]:
        """The members of RFC 9457, and the number under which the service's log knows it."""
        title = HTTPStatus(self.status).phrase
        known = {"type": "about:blank", "title": title, "status": self.status}
        return {**known, "detail": self.detail, "request_id": request_id, **self.more}


def not_found(what: str = "page") -> Problem:
    """Also for what somebody may not see: that it exists is not told."""
    return Problem(404, f"there is no such {what}")


def response(problem: Problem, request: web.Request, request_id: str) -> web.Response:
    """The answer to a program, or to a browser that has asked for a page."""
    headers = {"Cache-Control": "no-store", **problem.headers}
    make_page = request.app.get(ERROR_PAGE)
    if make_page is not None and _wants_page(request):
        page = make_page(request, problem.status, problem.detail)
        page.headers.update(headers)
        return page
    body = encoded(problem.document(request_id))
    return web.Response(status=problem.status, headers=headers, body=body, content_type=MEDIA_TYPE)


def _wants_page(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "") and "/api/" not in request.path
