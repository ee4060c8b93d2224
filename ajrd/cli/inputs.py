"""What ``ajrd scan`` reads: files, folders, standard input, and what gzip or zstd have packed."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from ajrd.offline import Stream

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Damaged(OSError):
    """What was packed cannot be unpacked."""


class Input:
    """One stream of log lines. ``size`` is that of the file, 0 if it is not known.

    ``read`` counts the bytes of the file that were read, for a progress bar.
    """

    def __init__(self, stream: BufferedReader, size: int) -> None:
        self._file = stream
        self._stream: Any = _unpacked(stream)
        self.size = size

    def read1(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; raises Damaged."""
        try:
            return cast(bytes, self._stream.read1(size))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Damaged(f"it is packed and damaged: {error}") from None
        except OSError:
            raise
        except Exception as error:  # each zstd library has an error of its own
            raise Damaged(f"it is packed and damaged: {error}") from None

    @property
    def read(self) -> int:
        """Bytes of the file that were read so far."""
        return self._file.tell() if self.size else 0


@contextmanager
def opened(name: str) -> Iterator[Input]:
    """The input of a name; ``-`` is standard input. Raises OSError."""
    if name == "-":
        raw = sys.stdin.buffer
        yield Input(raw if isinstance(raw, BufferedReader) else BufferedReader(raw), 0)  # type: ignore[arg-type]
        return
    with open(name, "rb") as file:
        seen = os.fstat(file.fileno())
        yield Input(file, seen.st_size if stat.S_ISREG(seen.st_mode) else 0)


def files_of(name: str) -> Iterator[str]:
    """The name itself or, of a folder, the regular files below it in the order of their names."""
    if name == "-" or not os.path.isdir(name):
        yield name
        return
    for folder, folders, names in os.walk(name):
        folders.sort()
        for each in sorted(names):
            path = Path(folder, each)
            if path.is_file() and not path.is_symlink():
                yield str(path)


def _unpacked(stream: BufferedReader) -> Stream | BinaryIO:
    """By the first bytes, not by the name. A terminal or pipe may offer less: then it is plain."""
    head = stream.peek(4)[:4]
    if head.startswith(_GZIP):
        return gzip.open(stream, "rb")
    if head.startswith(_ZSTD):
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        return cast(BinaryIO, zstd.open(stream, "rb"))
    return stream
