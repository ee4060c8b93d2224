"""An administrator for tests: answers by the words of a question, in the order of a script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import click

from ajrd.setup.console import Tone

#: The end of the input, as an answer.
END = "\x04"


@dataclass
class Scripted:
    """``script`` holds the answers to the questions that begin so; to others it is Enter."""

    script: Mapping[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    told: list[tuple[Tone, str]] = field(default_factory=list)

    def tell(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        self.told.append((tone, text))

    def ask(self, prompt: str) -> str:
        self.asked.append(prompt)
        return self._answer(prompt)

    def secret(self, prompt: str) -> str:
        self.hidden.append(prompt)
        return self._answer(prompt)

    def _answer(self, prompt: str) -> str:
        assert len(self.asked) + len(self.hidden) < 100, f"asked for ever: {self.asked[-10:]}"
        answers = next(
            (each for words, each in self.script.items() if prompt.startswith(words)), []
        )
        answer = answers.pop(0) if answers else ""
        if answer == END:
            raise click.Abort
        return answer

    def said(self, tone: Tone) -> list[str]:
        """What was said in a tone."""
        return [text for each, text in self.told if each is tone]

    @property
    def fault(self) -> str:
        """The one thing that was wrong."""
        (fault,) = self.said(Tone.FAULT)
        return fault

    @property
    def shown(self) -> str:
        """Everything that stood on the screen but for what was typed."""
        return "\n".join([*self.asked, *self.hidden, *(text for _, text in self.told)])
