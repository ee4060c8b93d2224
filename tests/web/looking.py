"""What stands on a page, as a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html.parser import HTMLParser


class Seen(HTMLParser):
    """The tags of a page in their order, with their attributes, and all its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, Mapping[str, str]]] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words += f" {' '.join(data.split())}"

    def all(self, tag: str, **wanted: str) -> list[Mapping[str, str]]:
        """The tags whose attributes hold words: ``class_="bar recovered"``."""
        names = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [attrs for name, attrs in self.tags if name == tag and _fits(attrs, names)]

    def addresses(self) -> Iterator[str]:
        """Whatever a browser may fetch or follow."""
        for _, attrs in self.tags:
            for name in ("href", "src", "action", "data-fragment", "data-stream", "data-api"):
                if not attrs.get(name, "#").startswith("#"):
                    yield attrs[name]


def _fits(attrs: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(
        set(value.split()) <= set(attrs.get(name, "").split()) for name, value in wanted.items()
    )
