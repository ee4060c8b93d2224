"""The pages in a real browser: Debian's Chromium, or whichever is on the PATH.

Every test fails if the browser's console has a complaint or if anything is asked of another host.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

from ajrd.model import Kind, Role, Verb
from tests.web.place import ADA, Place, a_place, now, served
from tests.web.stories import CHAIN, SEGFAULT, seconds, verification

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
]
PAGES = ["/", "/?view=table", "/jobs/7", "/nodes", "/anomalies", "/efficiency", "/service", "/help"]
#: Faults of these weights are not accepted.
GRAVE = {"serious", "critical"}
#: What axe looks for: everything in light, and in dark what has to do with colour.
RULES: dict[str, dict[str, Any]] = {
    "light": {"resultTypes": ["violations"]},
    "dark": {
        "resultTypes": ["violations"],
        "runOnly": ["color-contrast", "link-in-text-block"],
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests."""
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        made = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield made
        await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A place where every page has something to show."""
    async with a_place(tmp_path_factory.mktemp("pages")) as made:
        await stories(made)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(place: Place) -> AsyncIterator[str]:
    """Where it is served."""
    async with served(place) as url:
        yield url


async def stories(place: Place) -> None:
    """The verification, a chain, a job that waits and one with a lot of trouble."""
    await verification(place.teller, now() - timedelta(hours=5))
    await place.teller.job("31", now() - seconds(600), name="waits")
    for number in (41, 42):
        chained = await place.teller.job(str(number), now() - seconds(900), comment=CHAIN)
    await place.teller.attempt(chained, 0, now() - seconds(800))
    job = await place.teller.job("51", now() - timedelta(hours=3), name="troubled", user="bob")
    attempt = await place.teller.attempt(job, 0, now() - timedelta(hours=2))
    found = await place.teller.anomaly(attempt, now() - timedelta(hours=1))
    for number in range(4):
        await place.teller.anomaly(
            attempt,
            now() - timedelta(hours=1) + seconds(1 + number),
            f"[Rank {number}] NCCL watchdog",
            kind=Kind.HANG,
            cause="nccl_timeout",
            role=Role.CASCADE,
        )
    attempt = await place.teller.ends(attempt, now() - timedelta(minutes=58), "FAILED")
    await place.teller.decision(job, attempt, found, Verb.STOP, "requeued 1 of 1 times")
    await place.teller.suspicion(attempt, "n1", found, excluded=True)
    await place.teller.efficiency(job, attempt, "segfault", lost=600, detection=3, saved=1800)


class Watched:
    """What a page complains of, and what it asks other hosts for."""

    def __init__(self, page: Page, home: str) -> None:
        self.faults: list[str] = []
        self._home = home
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self._home, "data:")):
            self.faults.append(f"asked of another host: {request.url}")


@asynccontextmanager
async def tab(
    browser: Browser, address: str, path: str = "/", *, faults: str = "", **options: Any
) -> AsyncIterator[Page]:
    """A page in a tab of its own; complaints that hold ``faults`` are expected."""
    context = await browser.new_context(**{"viewport": {"width": 1200, "height": 800}} | options)
    page = await context.new_page()
    page.set_default_timeout(8000)
    watched = Watched(page, address)
    await page.goto(address + path)
    try:
        yield page
        seen = [each for each in watched.faults if not faults or faults not in each]
        assert seen == []
    finally:
        await context.close()


def root(page: Page, job: str = "7") -> Any:
    """The triangle of a job's first cause."""
    return page.locator(f'.lane[data-job="{job}"] .mark.root').first


def tooltip(page: Page) -> Any:
    """The one that is shown."""
    return page.locator(".tip:visible")


async def test_pointing_at_a_triangle_tells_of_it_while_the_pointer_is_on_either(
    browser: Browser, address: str
) -> None:
    async with tab(browser, address) as page:
        await page.clock.install()
        await root(page).hover()
        for words in ("CRASH", "segmentation fault", "n1", SEGFAULT, "requeue 1 of 1"):
            await expect(tooltip(page)).to_contain_text(words)
        await tooltip(page).hover()
        await page.clock.run_for(1000)
        await expect(tooltip(page)).to_be_visible()
        await page.mouse.move(5, 5)
        await page.clock.run_for(1000)
        await expect(tooltip(page)).to_have_count(0)


async def test_the_focus_on_a_triangle_tells_of_it_and_escape_is_quiet_again(
    browser: Browser, address: str
) -> None:
    async with tab(browser, address) as page:
        await root(page).focus()
        await expect(tooltip(page)).to_contain_text(SEGFAULT)
        described = await root(page).get_attribute("aria-describedby")
        assert await tooltip(page).get_attribute("id") == described
        await page.keyboard.press("Escape")
        await expect(tooltip(page)).to_have_count(0)
        await expect(root(page)).to_be_focused()


async def test_enter_on_a_triangle_leads_to_its_evidence(browser: Browser, address: str) -> None:
    async with tab(browser, address) as page:
        await root(page).focus()
        await page.keyboard.press("Enter")
        await expect(page.locator(".evidence:target")).to_contain_text(SEGFAULT)


async def test_several_anomalies_at_one_place_are_one_triangle(
    browser: Browser, address: str
) -> None:
    async with tab(browser, address) as page:
        marks = page.locator('.lane[data-job="51"] .mark')
        await expect(marks).to_have_count(1)
        await expect(marks.locator("text")).to_have_text("5")


async def test_news_appear_without_a_reload(browser: Browser, address: str, place: Place) -> None:
    async with tab(browser, address) as page:
        await expect(page.locator("#live")).to_have_text("live")
        await page.evaluate("window.unloaded = false; addEventListener('pagehide', () => {})")
        await page.evaluate("document.body.dataset.mine = 'yes'")
        await page.locator('[data-key="zoom-in"]').focus()
        await page.evaluate("scrollTo(0, 120)")
        before = await page.evaluate("scrollY")
        job = await place.teller.job("61", now() - seconds(60), name="newcomer")
        attempt = await place.teller.attempt(job, 0, now() - seconds(50))
        place.say("attempt_started", "61")
        await expect(page.locator('.lane[data-job="61"] .bar.running')).to_have_count(1)
        await place.teller.anomaly(attempt, now() - seconds(20))
        place.say("anomaly", "61")
        await expect(root(page, "61")).to_be_visible()
        await expect(page.locator("#told")).to_have_text("New anomaly, job 61")
        await place.teller.ends(attempt, now(), "FAILED")
        place.say("attempt_ended", "61")
        await expect(page.locator('.lane[data-job="61"] .bar.failed')).to_have_count(1)
        assert await page.evaluate("document.body.dataset.mine") == "yes"
        await expect(page.locator('[data-key="zoom-in"]')).to_be_focused()
        assert await page.evaluate("scrollY") == before


async def test_a_tooltip_under_the_pointer_survives_an_update(
    browser: Browser, address: str, place: Place
) -> None:
    async with tab(browser, address) as page:
        await expect(page.locator("#live")).to_have_text("live")
        await root(page).hover()
        await tooltip(page).hover()
        await place.teller.job("62", now() - seconds(60))
        place.say("job_seen", "62")
        await expect(page.locator('.lane[data-job="62"]')).to_be_visible()
        await expect(tooltip(page)).to_contain_text(SEGFAULT)


async def test_a_flood_of_events_does_not_put_off_what_is_new(
    browser: Browser, address: str, place: Place
) -> None:
    async def flood() -> None:
        while True:
            place.say("action", "7")
            await asyncio.sleep(0.02)

    async with tab(browser, address) as page:
        await expect(page.locator("#live")).to_have_text("live")
        flooding = asyncio.create_task(flood())
        await place.teller.job("66", now() - seconds(60))
        await expect(page.locator('.lane[data-job="66"]')).to_be_visible()
        flooding.cancel()


async def test_a_job_page_follows_its_job(browser: Browser, address: str, place: Place) -> None:
    job = await place.teller.job("63", now() - seconds(60))
    async with tab(browser, address, "/jobs/63") as page:
        await expect(page.locator("#live")).to_have_text("live")
        await place.teller.attempt(job, 0, now() - seconds(50))
        place.say("attempt_started", "63")
        await expect(page.locator("#attempt-0")).to_contain_text("running")


async def test_without_a_stream_the_page_asks_again_and_says_so(
    browser: Browser, tmp_path: Path
) -> None:
    async with a_place(tmp_path) as lonely, served(lonely) as url:
        lonely.streams = False
        async with tab(browser, url, faults="503") as page:
            await expect(page.locator("#live")).to_have_text("reconnecting")
            await lonely.teller.job("64", now() - seconds(60))
            await expect(page.locator('.lane[data-job="64"]')).to_be_visible()


async def test_keys_zoom_and_move_the_timeline(browser: Browser, address: str) -> None:
    async with tab(browser, address) as page:
        await page.locator("#chart").focus()
        await page.keyboard.press("+")
        await expect(page.locator('[data-key="range-6h"]')).to_have_attribute(
            "aria-current", "true"
        )
        await expect(page.locator("#chart")).to_be_focused()
        await page.keyboard.press("-")
        await expect(page.locator('[data-key="range-24h"]')).to_have_attribute(
            "aria-current", "true"
        )
        before = int(await page.locator("#chart").get_attribute("data-from") or 0)
        await page.keyboard.press("ArrowLeft")
        await expect(page.locator("#from-to summary")).to_have_class("on")
        after = int(await page.locator("#chart").get_attribute("data-from") or 0)
        assert 11.9 < (before - after) / 3_600_000 < 12.1
        await page.go_back()
        await expect(page.locator('[data-key="range-24h"]')).to_have_attribute(
            "aria-current", "true"
        )


async def test_dragging_zooms_to_what_was_dragged_over(browser: Browser, address: str) -> None:
    async with tab(browser, address) as page:
        box = await page.locator('.lane[data-job="31"] .picture').bounding_box()
        assert box is not None
        y = box["y"] + 4
        await page.mouse.move(box["x"] + box["width"] * 0.25, y)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=3)
        await page.mouse.up()
        await expect(page.locator("#from-to summary")).to_have_class("on")
        chart = page.locator("#chart")
        edges = [int(await chart.get_attribute(f"data-{it}") or 0) for it in ("from", "to")]
        assert 5.9 < (edges[1] - edges[0]) / 3_600_000 < 6.1


async def test_the_theme_follows_the_system_until_it_is_chosen(
    browser: Browser, address: str
) -> None:
    async with tab(browser, address, color_scheme="dark") as page:
        background = "getComputedStyle(document.documentElement).backgroundColor"
        dark = await page.evaluate(background)
        await expect(page.locator("#theme")).to_have_attribute("aria-pressed", "true")
        await page.locator("#theme").click()
        light = await page.evaluate(background)
        assert sum(numbers(dark)) < 150 < 600 < sum(numbers(light))
        await page.goto(f"{address}/help")
        assert await page.evaluate(background) == light


def numbers(colour: str) -> list[int]:
    """Red, green, blue."""
    return [int(each) for each in re.findall(r"\d+", colour)[:3]]


#: Numbers all controls that can be seen, and says how many there are.
COUNTED = """() => {
  const wanted = "a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']";
  const seen = [...document.querySelectorAll(wanted)].filter(each => each.checkVisibility());
  seen.forEach((each, number) => { each.dataset.walk = number; });
  return seen.length;
}"""
#: The number of what has the focus, null for the page itself, and whether one sees that it has it.
FOCUSED = """() => {
  const active = document.activeElement;
  const drawn = getComputedStyle(active.querySelector(":scope > .hit") ?? active);
  const ring = [drawn.outlineStyle, drawn.stroke].some(each => each !== "none");
  return [active.dataset.walk ?? null, ring];
}"""


async def test_the_keyboard_reaches_every_control_and_shows_where_it_is(
    browser: Browser, address: str
) -> None:
    async with tab(browser, address) as page:
        wanted = await page.evaluate(COUNTED)
        reached: dict[str, bool] = {}
        for _ in range(wanted + 3):
            await page.keyboard.press("Tab")
            number, ring = await page.evaluate(FOCUSED)
            if number is not None:
                reached[number] = ring
        assert len(reached) == wanted
        assert all(reached.values())


async def test_steering_asks_back_and_goes_to_the_api(
    browser: Browser, address: str, place: Place
) -> None:
    await place.teller.job("65", now() - seconds(60))
    async with tab(browser, address, "/jobs/65") as page:
        await page.get_by_role("button", name="Pause").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_have_accessible_name("Pause job 65")
        await expect(dialog).to_contain_text("until it is resumed")
        await expect(dialog.get_by_role("textbox")).to_be_focused()
        await dialog.get_by_role("button", name="Pause").click()
        await expect(dialog.get_by_role("alert")).to_have_text("Say why.")
        await dialog.get_by_role("textbox").fill("maintenance")
        await dialog.get_by_role("button", name="Pause").click()
        await expect(dialog).to_have_count(0)
    asked = {"jobid": "65", "verb": "pause", "reason": "maintenance", "header": "1"}
    assert place.steered[-1] == asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_grave_fault(browser: Browser, address: str, scheme: str) -> None:
    async with tab(browser, address, faults="404", color_scheme=scheme) as page:
        for path in [*PAGES, "/jobs/404"]:
            await page.goto(address + path)
            if path == "/":
                await root(page).focus()
            found = (await Axe().run(page, options=RULES[scheme])).response["violations"]
            grave = [
                (each["id"], each["nodes"][0]["html"][:120], each["nodes"][0]["failureSummary"])
                for each in found
                if each["impact"] in GRAVE
            ]
            assert grave == [], path


@pytest.mark.parametrize("width", [320, 390])
async def test_a_phone_scrolls_down_alone(browser: Browser, address: str, width: int) -> None:
    size = {"width": width, "height": 640}
    async with tab(browser, address, viewport=size, has_touch=True, is_mobile=True) as page:
        for path in PAGES:
            await page.goto(address + path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path


async def test_what_strangers_write_does_nothing(browser: Browser, tmp_path: Path) -> None:
    hostile = '"><img src=x onerror="document.title=\'owned\'"><script>alert(1)</script>\x1b\u202e'
    async with a_place(tmp_path) as evil, served(evil) as url:
        job = await evil.teller.job(
            "7", now() - seconds(60), name=hostile, user="ada", comment=hostile
        )
        attempt = await evil.teller.attempt(job, 0, now() - seconds(50), hostile)
        found = await evil.teller.anomaly(
            attempt, now() - seconds(40), hostile, facts={"node": hostile, "rank": hostile}
        )
        await evil.teller.suspicion(attempt, hostile, found, excluded=False)
        evil.who = ADA
        async with tab(browser, url) as page:
            page.on("dialog", lambda _dialog: pytest.fail("a script of a stranger ran"))
            for path in PAGES:
                await page.goto(url + path)
                assert await page.locator("main img, main script").count() == 0
                assert "owned" not in await page.title()
            await page.goto(url)
            await root(page).focus()
            await expect(tooltip(page)).to_contain_text("<script>alert(1)</script>\\x1b\\u202e")
            evil.say("anomaly", "<img src=x onerror=alert(3)>")
            await expect(page.locator("#told")).to_have_text(
                "New anomaly, job <img src=x onerror=alert(3)>"
            )
