"""What an ``srun`` was told about its output, read from its command line. Pure.

srun stops at the first word that is no option (getopt_long(3), ``+``), so the step's own command
cannot be mistaken for its options as long as it is known which options take a value. The tables
follow ``src/common/slurm_opt.c`` of Slurm 22.05 to 25.11.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

#: Options that never take the next word as their value.
_BARE_LETTERS = frozenset("XhHlZOsEQuvV")
_BARE_OR_GLUED_LETTERS = frozenset("IKk")
_BARE_NAMES = frozenset(
    {
        "bcast", "compress", "consolidate-segments", "contiguous", "debugger-test",
        "disable-status", "exact", "exclusive", "external-launcher", "help", "hold", "immediate",
        "interactive", "kill-on-bad-exit", "label", "multi-prog", "nice", "no-allocate", "no-kill",
        "oom-kill-step", "overcommit", "overlap", "oversubscribe", "preserve-env", "propagate",
        "pty", "quiet", "quit-on-interrupt", "reboot", "resv-ports", "send-libs", "spread-job",
        "spread-segments", "stepmgr", "test-only", "unbuffered", "usage", "use-min-nodes",
        "verbose", "version", "wait-for-children", "whole", "x11",
    }
)  # fmt: skip
#: The options that matter here: letter, name, shortest unique beginning of the name.
_WANTED = (("o", "output", "ou"), ("e", "error", "er"), ("D", "chdir", "ch"))
_VARIABLES = {"output": "SLURM_STDOUTMODE", "error": "SLURM_STDERRMODE"}


def output_patterns(
    words: Sequence[str], variables: Mapping[str, str], folder: str
) -> tuple[list[str], str]:
    """The values of ``--output`` and ``--error``, and the folder that they are relative to.

    ``words`` is the command line without the program, ``folder`` the working folder of the srun.
    """
    said = dict(_options(words))
    given = (said.get(name) or variables.get(_VARIABLES[name], "") for name in ("output", "error"))
    patterns = [pattern for pattern in given if pattern]
    return list(dict.fromkeys(patterns)), said.get("chdir") or folder


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(name, value) of the options that matter, in their order: the last one counts."""
    rest = iter(words)
    for word in rest:
        if word == "--" or not word.startswith("-") or word == "-":
            return
        if word.startswith("--"):
            name, glued, value = word[2:].partition("=")
            if not glued and name not in _BARE_NAMES:
                value = next(rest, "")
            yield from ((full, value) for _, full, least in _WANTED if _means(name, full, least))
        else:
            yield from _letters(word[1:], rest)


def _means(name: str, full: str, least: str) -> bool:
    return full.startswith(name) and name.startswith(least)


def _letters(cluster: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    """``-lo file``: letters without a value, then at most one with it."""
    for place, letter in enumerate(cluster):
        if letter in _BARE_LETTERS:
            continue
        if letter not in _BARE_OR_GLUED_LETTERS:
            value = cluster[place + 1 :] or next(rest, "")
            yield from ((full, value) for short, full, _ in _WANTED if letter == short)
        return
