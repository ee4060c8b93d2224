"""Takes the pictures of ``docs/images`` from the demo week: ``python -m tests.web.pictures``."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.web.demo import fill
from tests.web.place import a_place, served

IMAGES = Path(__file__).parents[2] / "docs" / "images"
#: Name, path, width, height, colour scheme, and which triangle is pointed at.
PICTURES: tuple[tuple[str, str, int, int, Any, int | None], ...] = (
    ("workflows-light", "/", 1440, 1000, "light", None),
    ("workflows-dark", "/", 1440, 1000, "dark", 2),
    ("workflows-phone", "/", 390, 844, "light", None),
    ("job", "JOB", 1280, 1160, "light", None),
    ("nodes", "/nodes", 1280, 760, "light", None),
    ("anomalies", "/anomalies", 1280, 800, "dark", None),
    ("efficiency", "/efficiency", 1280, 680, "light", None),
    ("service", "/service", 1280, 640, "light", None),
)


async def main() -> None:
    """All of them."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with a_place(Path(folder)) as place:
            await fill(place)
            async with served(place) as address, async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                for picture in PICTURES:
                    await take(browser, address, *picture)
                await browser.close()


async def take(
    browser: Browser,
    address: str,
    name: str,
    path: str,
    width: int,
    height: int,
    scheme: Any,
    mark: int | None,
) -> None:
    """One of them."""
    size: Any = {"width": width, "height": height}
    context = await browser.new_context(viewport=size, color_scheme=scheme)
    page = await context.new_page()
    await page.goto(address + (await a_job(page, address) if path == "JOB" else path))
    await page.wait_for_load_state("load")
    await page.wait_for_timeout(900)
    if mark is not None:
        await page.locator(".mark.root").nth(mark).hover()
        await page.locator(".tip:visible").wait_for()
    await page.screenshot(path=IMAGES / f"{name}.png")
    await context.close()


async def a_job(page: Page, address: str) -> str:
    """A job that was recovered and completed."""
    await page.goto(f"{address}/?outcome=recovered&range=7d")
    lanes = page.locator(".lane:has(.bar.completed) .label a")
    return await lanes.first.get_attribute("href") or "/"


if __name__ == "__main__":
    asyncio.run(main())
