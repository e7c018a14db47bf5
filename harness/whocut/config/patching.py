"""A new limit in a user's own file, as a change of that file: found, made, and proved by reading it again.

On the line of a limit the number that means it is replaced, in its own unit. A limit that is a
default, or that is inherited, gets a line of its own where its format knows how. What is made so is read again, and
counts only if this limit has changed and no other one has. Nothing is written here but by `Patch.write`.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whocut.chain.texts import instead, read_bytes
from whocut.config.formats import Source, formats, told
from whocut.errors import BadFile, BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from whocut.chain.layers import Layer, Topology
    from whocut.chain.timers import Timer, TimerKind

_UNITS_S: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 0.001,
    "s": 1.0,
    "mi": 60.0,
    "min": 60.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|ns|mins|min|mi|[smhd])?")
_VALUE: Final = re.compile(rf"(?<![\w.])(?:{_PART.pattern})+(?![\w.])")
_BARE_S: Final = (1.0, 0.001, 60.0, 1e-9)  # what a number without a unit can count
_MOST_LINES: Final = 3  # from a key to its value


@dataclass(frozen=True, slots=True)
class Turn:
    """A knob of a layer, and its new limit."""

    layer: str
    directive: str
    limit_s: float


@dataclass(frozen=True, slots=True)
class Patch:
    """Files as they would be, and what has to be done by hand because no file that can be changed has it."""

    before: Mapping[str, bytes] = field(default_factory=dict)
    after: Mapping[str, bytes] = field(default_factory=dict)
    by_hand: tuple[Turn, ...] = ()

    @property
    def diff(self) -> str:
        """All changes as a unified diff, as `git apply` and `patch -p1` take it; empty without a change."""
        lines: list[str] = []
        for path, after in self.after.items():
            name = Path(path).as_posix()
            ours, theirs = (name, name) if Path(path).is_absolute() else (f"a/{name}", f"b/{name}")
            lines += difflib.unified_diff(_lines(self.before[path]), _lines(after), ours, theirs)
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
        )

    def write(self) -> list[str]:
        """Change the files: each at once or not at all, with the rights that it has. Their paths.

        Raises:
            BadFile: a file has changed since it was read, cannot be written, or is a link that leaves the folder.
        """
        real = {path: _inside(path) for path in self.after}
        for path, target in real.items():
            if target.read_bytes() != self.before[path]:
                raise BadFile(path, "it has changed since it was read; check again")
        for path, target in real.items():
            try:
                _replace(target, self.after[path])
            except OSError as error:
                raise BadFile(path, f"it cannot be written: {error.strerror or error}") from None
        return list(real)


def patch_of(topology: Topology, turns: Sequence[Turn], read_again: Callable[[], Topology]) -> Patch:
    """The changes of users' own files that give these knobs these limits; what cannot be changed is in `by_hand`.

    `read_again` reads the topology as its sources then are.
    """
    before: dict[str, bytes] = {}
    after: dict[Path, bytes] = {}
    paths: dict[Path, str] = {}
    by_hand: list[Turn] = []
    held = topology
    for turn in turns:
        made = next(_made(held, turn, after, read_again), None)
        if made is None:
            by_hand.append(turn)
            continue
        path, data, held = made
        before.setdefault(path, Path(path).read_bytes())
        paths[Path(path).resolve()] = path
        after[Path(path).resolve()] = data
    return Patch(before, {paths[real]: data for real, data in after.items()}, tuple(by_hand))


def turns_between(before: Topology, after: Topology) -> list[Turn]:
    """The knobs whose limits differ."""
    found: dict[tuple[str, str], Turn] = {}
    for layer, changed in zip(before.layers, after.layers, strict=True):
        for kind, timer in layer.timers.items():
            new_s = changed.limit_s(kind)
            if new_s is not None and new_s != timer.limit_s:
                found.setdefault((layer.name, timer.directive), Turn(layer.name, timer.directive, new_s))
    return list(found.values())


# --- one knob -------------------------------------------------------------------------------------


def _made(
    topology: Topology, turn: Turn, after: Mapping[Path, bytes], read_again: Callable[[], Topology]
) -> Iterator[tuple[str, bytes, Topology]]:
    """Changes of a file that turn the knob and nothing else, each read again: path, bytes, the topology then."""
    layer = topology.layer(turn.layer)
    timer = (
        next((one for one in layer.timers.values() if one.directive == turn.directive), None)
        if layer
        else None
    )
    if layer is None or timer is None:
        return
    for path, changed in _candidates(layer, timer, turn.limit_s, after):
        with instead({**after, Path(path): changed}), suppress(BadInput):
            then = read_again()
            if _turned(topology, then, turn):
                yield path, changed, then


def _candidates(
    layer: Layer, timer: Timer, limit_s: float, after: Mapping[Path, bytes]
) -> Iterator[tuple[str, bytes]]:
    """Ways to write the limit: its number where it is written; else, or where it is inherited, a line more."""
    inside, own = [], []
    if _is_made(timer.file or layer.file):
        return
    if timer.file and timer.line is not None:
        text = _text(timer.file, after)
        inside = [(timer.file, one) for one in _replaced(text, timer, limit_s)] if text is not None else []
    if layer.file and layer.line is not None and (timer.inherited or not timer.file):
        text = _text(layer.file, after)
        if text is not None:
            for format_ in formats().values():
                one = format_.insert(text, layer.line, timer.set_to(limit_s)) if format_.insert else None
                own += [(layer.file, one)] if one is not None else []
    for path, changed in own + inside:
        yield path, changed.encode()


def _is_made(path: str) -> bool:
    """Whether a program writes the file, so that a change of it is lost."""
    try:
        return told(Source.open(path)).made
    except BadInput:
        return False  # its format was said, or it is a chain file


def _text(path: str, after: Mapping[Path, bytes]) -> str | None:
    with instead(after), suppress(OSError, ValueError):
        return read_bytes(Path(path)).decode()
    return None


def _replaced(text: str, timer: Timer, limit_s: float) -> Iterator[str]:
    """The text with another number where the limit can be, the likeliest place first."""
    assert timer.line is not None
    lines = text.splitlines(keepends=True)
    word = re.split(r"[\s./:]+", timer.directive.strip())[-1].lower()
    for number in range(timer.line - 1, min(timer.line - 1 + _MOST_LINES, len(lines))):
        line = lines[number]
        named = max(line.lower().find(word), 0)
        found = [
            (value.start() < named, value.start(), value, new)
            for value in _VALUE.finditer(line)
            for new in _as_written(value[0], timer.limit_s, limit_s)
        ]
        for _, _, value, new in sorted(found, key=lambda one: one[:2]):
            changed = f"{line[: value.start()]}{new}{line[value.end() :]}"
            yield "".join([*lines[:number], changed, *lines[number + 1 :]])


def _as_written(value: str, old_s: float, new_s: float) -> Iterator[str]:
    """The new limit in the manner of a value that can mean the old one; nothing where it cannot."""
    parts = _PART.findall(value)
    if len(parts) == 1 and not parts[0][1]:
        for unit_s in _BARE_S:
            if math.isclose(float(value) * unit_s, old_s):
                yield f"{math.ceil(round(new_s / unit_s, 6))}"
        return
    if any(not unit for _, unit in parts):
        return
    if not math.isclose(sum(float(number) * _UNITS_S[unit] for number, unit in parts), old_s):
        return
    unit = parts[0][1]
    whole = round(new_s / _UNITS_S[unit], 6)
    yield f"{whole:.0f}{unit}" if len(parts) == 1 and whole == int(whole) else f"{math.ceil(new_s)}s"


def _turned(before: Topology, then: Topology, turn: Turn) -> bool:
    """Whether the knob has its new limit, and no other has changed."""
    return _limits(then) == {
        (layer, kind, directive): turn.limit_s
        if (layer, directive) == (turn.layer, turn.directive)
        else limit_s
        for (layer, kind, directive), limit_s in _limits(before).items()
    }


def _limits(topology: Topology) -> dict[tuple[str, TimerKind, str], float]:
    return {
        (layer.name, kind, timer.directive): timer.limit_s
        for layer in topology.layers
        for kind, timer in layer.timers.items()
    }


# --- the disk -------------------------------------------------------------------------------------


def _lines(data: bytes) -> list[str]:
    return data.decode(errors="replace").splitlines(keepends=True)


def _inside(path: str) -> Path:
    """The file itself, behind links that stay in the folder of the command.

    Raises:
        BadFile: a link leads out of it.
    """
    real = Path(path).resolve()
    if real != Path(os.path.abspath(path)) and not real.is_relative_to(Path.cwd()):  # noqa: PTH100  # no link is followed
        raise BadFile(path, f"it is a link out of this folder, to {real}; change that file by hand")
    return real


def _replace(target: Path, data: bytes) -> None:
    mode = target.stat().st_mode & 0o7777
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
