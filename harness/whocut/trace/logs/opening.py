"""A file of logs, opened: plain, ``.gz``, ``.zst``, or standard input; and the files that a pattern names."""

from __future__ import annotations

import glob
import gzip
import io
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from whocut.errors import BadFile, require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

STANDARD_INPUT: Final = "-"
_MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_ROTATED: Final = re.compile(r"\.(\d{1,4})(?:\.(?:gz|zst))?$")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a log, unpacked: its first bytes say what packed it, and not its name.

    Raises:
        BadFile: what is packed in it is broken, or ends too early.
        NotInstalled: it is packed with zstd, and nothing here unpacks it.
        OSError: it cannot be opened.
    """
    with _raw(path) as raw:
        begins = raw.peek(4)[:4]
        packed = next((name for magic, name in _MAGIC.items() if begins.startswith(magic)), "")
        try:
            if packed == "gzip":
                with gzip.GzipFile(fileobj=raw) as file:
                    yield cast("BinaryIO", io.BufferedReader(cast("Any", file), 1 << 20))
            elif packed == "zstd":
                require("zstandard")
                import zstandard  # noqa: PLC0415  # an extra brings it

                with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as unpacked:
                    yield cast("BinaryIO", io.BufferedReader(cast("Any", unpacked), 1 << 20))
            else:
                yield cast("BinaryIO", raw)
        except (EOFError, gzip.BadGzipFile) as error:
            raise BadFile(path, f"it cannot be unpacked: {error}. Give it whole.") from None
        except Exception as error:
            if packed == "zstd" and type(error).__name__ == "ZstdError":
                raise BadFile(path, f"it cannot be unpacked: {error}. Give it whole.") from None
            raise


@contextmanager
def _raw(path: Path) -> Iterator[io.BufferedReader]:
    if str(path) == STANDARD_INPUT:
        yield cast("io.BufferedReader", sys.stdin.buffer)
    else:
        with path.open("rb") as file:
            yield file


def named(pattern: str) -> list[Path]:
    """The files that a name or a pattern names, rotated ones from the oldest to the newest.

    `access.log.3.gz` is older than `access.log.2.gz`, and both are older than `access.log`. A name without a
    pattern is the file of that name, whether it exists or not.
    """
    if pattern == STANDARD_INPUT or not glob.has_magic(pattern) or Path(pattern).exists():
        return [Path(pattern)]
    return sorted((Path(found) for found in glob.glob(pattern)), key=_age)  # noqa: PTH207  # it may be absolute


def _age(path: Path) -> tuple[str, int, str]:
    rotated = _ROTATED.search(path.name)
    if rotated is None:
        return path.name.removesuffix(".gz").removesuffix(".zst"), 0, path.name
    return path.name[: rotated.start()], -int(rotated[1]), path.name
