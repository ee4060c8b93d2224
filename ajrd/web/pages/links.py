"""Every address on the pages is built here: behind the site's prefix, with its query encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from ajrd.web.pages.assets import Assets


@dataclass(frozen=True, slots=True)
class Links:
    """``base`` is the prefix under which a proxy serves ajrd, "" for none."""

    base: str
    assets: Assets

    def to(self, path: str, query: Mapping[str, str] | None = None, **more: str) -> str:
        """A page; parts of the query that are empty are left out."""
        wanted = {key: value for key, value in {**(query or {}), **more}.items() if value}
        return f"{self.base}{path}" + (f"?{urlencode(wanted)}" if wanted else "")

    def job(self, job_id: str, anchor: str = "") -> str:
        """The page of a job."""
        return f"{self.base}/jobs/{quote(job_id, safe='')}" + (f"#{anchor}" if anchor else "")

    def part(self, job_id: str) -> str:
        """What of a job's page is fetched again when something has happened."""
        return f"{self.base}/fragments/jobs/{quote(job_id, safe='')}"

    def api(self, path: str) -> str:
        """The HTTP API."""
        return f"{self.base}/api/v1{path}"

    def asset(self, name: str) -> str:
        """A file of ``ajrd/web/static``; its address changes with the contents of all."""
        return f"{self.base}/static/{self.assets.digest}/{name}"
