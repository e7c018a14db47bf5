"""Which attempt a line of a log belongs to: by trace id, by request id, and by time where there is nothing better.

Two layers' clocks may differ, and some logs know whole seconds only. An account that fits several attempts by time
goes to the nearest and says so (`ambiguous`); one that fits none begins an attempt of its own.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from whocut.verdict.evidence import AttemptEvidence, JoinedBy, Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from whocut.trace.logs.records import Account

CLOCKS_APART_S: Final = (
    1.0  # how far the clocks of two machines may differ and a line still be joined by time
)

_LOOKED_AT: Final = 64  # attempts near a line's instant; those that are further away are not meant by it


@dataclass(slots=True)
class _Frame:
    """One attempt while it gathers its accounts."""

    evidence: AttemptEvidence | None
    trace_id: str | None
    request_id: str | None
    start_s: float | None
    end_s: float | None
    path: str | None
    status: int | None
    statements: dict[int, Statement] = field(default_factory=dict)


def join(
    attempts: Iterable[AttemptEvidence], accounts: Iterable[Account], positions: Mapping[str, int]
) -> list[AttemptEvidence]:
    """Every attempt with what logs say of it, those that only logs know of among them."""
    frames = [_frame_of(evidence) for evidence in attempts]
    ordered = sorted(accounts, key=lambda account: (positions[account.layer], account.start_s or 0.0))
    outermost: list[Account] = []
    rest: list[Account] = []
    by_trace = _Index(frames, "trace_id")
    by_request = _Index(frames, "request_id")
    for account in ordered:
        if _joined_by_name(account, positions[account.layer], by_trace, by_request):
            continue
        named = account.trace_id or account.request_id
        (outermost if named else rest).append(account)
    # Named accounts that fit no attempt begin one; those of layers further in, and of the same name, join it. Where
    # edges say which attempts there were, such a name was given to a request on its way: time joins it.
    if any(frame.evidence is not None and frame.evidence.layers for frame in frames):
        rest, outermost = rest + outermost, []
    for account in outermost:
        if not _joined_by_name(account, positions[account.layer], by_trace, by_request):
            frame = _begun_by(account, positions[account.layer], JoinedBy.TRACE)
            frames.append(frame)
            by_trace.add(frame)
            by_request.add(frame)
    _join_by_time(frames, rest, positions)
    return [_finished(frame) for frame in frames]


class _Index:
    """Frames by one of their names."""

    def __init__(self, frames: Iterable[_Frame], name: str) -> None:
        self._name = name
        self._frames: dict[str, list[_Frame]] = {}
        for frame in frames:
            self.add(frame)

    def add(self, frame: _Frame) -> None:
        key = getattr(frame, self._name)
        if key is not None:
            self._frames.setdefault(key, []).append(frame)

    def find(self, key: str | None) -> list[_Frame]:
        return self._frames.get(key, []) if key is not None else []


def _joined_by_name(account: Account, position: int, by_trace: _Index, by_request: _Index) -> bool:
    """Join by trace id, or by request id; several attempts of one trace are distinguished by parent and by time."""
    for found, how in (
        (by_trace.find(account.trace_id), JoinedBy.TRACE),
        (by_request.find(account.request_id), JoinedBy.REQUEST),
    ):
        if not found:
            continue
        frame, joined_by = _which(account, position, found, how)
        if frame is None:
            return False
        _put(frame, Statement(position=position, account=account, joined_by=joined_by))
        return True
    return False


def _which(
    account: Account, position: int, frames: Sequence[_Frame], how: JoinedBy
) -> tuple[_Frame | None, JoinedBy]:
    free = [frame for frame in frames if position not in frame.statements]
    parents = [
        frame
        for frame in frames
        if frame.evidence is not None and account.parent_id in frame.evidence.span_ids
    ]
    if len(parents) == 1:
        return parents[0], how
    if not free:
        # Each attempt known so far has this layer's account: it is another attempt, or another try of the layer.
        inner = [frame for frame in frames if any(known < position for known in frame.statements)]
        return (inner[-1], how) if inner or _began_inside(account, frames) else (None, how)
    if len(frames) == 1:
        return free[0], how
    begun = [
        frame
        for frame in free
        if frame.start_s is not None
        and account.start_s is not None
        and frame.start_s <= account.start_s + CLOCKS_APART_S
    ]
    if not begun:
        return free[0], JoinedBy.AMBIGUOUS
    return max(begun, key=lambda frame: frame.start_s or 0.0), JoinedBy.TIME


def _began_inside(account: Account, frames: Sequence[_Frame]) -> bool:
    return any(frame.evidence is not None for frame in frames) and account.start_s is None


def _put(frame: _Frame, statement: Statement) -> None:
    """Keep the later of two accounts of one layer: its last try is how it ended."""
    known = frame.statements.get(statement.position)
    if known is None or (known.account.end_s or 0.0) <= (statement.account.end_s or 0.0):
        frame.statements[statement.position] = statement


# --- by time --------------------------------------------------------------------------------------------


def _join_by_time(frames: list[_Frame], accounts: list[Account], positions: Mapping[str, int]) -> None:
    """Accounts without a name, from the caller inward: each layer joins what is before it."""
    by_layer: dict[int, list[Account]] = {}
    for account in accounts:
        by_layer.setdefault(positions[account.layer], []).append(account)
    for position in sorted(by_layer):
        starts = _Line(frames, "start_s", position)
        ends = _Line(frames, "end_s", position)
        begun: list[_Frame] = []
        for account in by_layer[position]:
            near = _near(account, starts, ends)
            if not near:
                begun.append(_begun_by(account, position, JoinedBy.TIME))
                continue
            how = JoinedBy.TIME if len(near) == 1 else JoinedBy.AMBIGUOUS
            _put(near[0], Statement(position=position, account=account, joined_by=how))
        frames += begun


class Instants:
    """Instants in their order, to find those near another that are not gone yet. More may be put behind them."""

    def __init__(self, instants: Iterable[float], is_gone: Callable[[int], bool]) -> None:
        """Take instants in their order; `is_gone` is asked for their places, and gone is gone for ever."""
        self.in_order = list(instants)
        self._is_gone = is_gone
        places = range(len(self.in_order))
        # From each place the next, and the last one before, that may still be there.
        self._after, self._before = list(places), list(places)

    def put(self, at_s: float) -> None:
        """One more, not before the last."""
        place = len(self.in_order)
        self.in_order.append(at_s)
        self._after.append(place)
        self._before.append(place)

    def near(self, at_s: float, within_s: float) -> Iterator[int]:
        """The places of those that are there, the nearest first, and no more than are looked at."""
        middle = bisect_left(self.in_order, at_s)
        after = self._there(self._after, middle, 1)
        before = self._there(self._before, middle - 1, -1)
        for _ in range(_LOOKED_AT):
            after_s = self._apart_s(after, at_s)
            before_s = self._apart_s(before, at_s)
            if min(after_s, before_s) > within_s:
                return
            if before_s <= after_s:
                yield before
                before = self._there(self._before, before - 1, -1)
            else:
                yield after
                after = self._there(self._after, after + 1, 1)

    def _apart_s(self, place: int, at_s: float) -> float:
        return abs(self.in_order[place] - at_s) if 0 <= place < len(self.in_order) else math.inf

    def _there(self, known: list[int], place: int, step: int) -> int:
        """The first place from this one that is not gone; what was passed is jumped over later."""
        begun = place
        while 0 <= place < len(known):
            if known[place] != place:
                place = known[place]
            elif self._is_gone(place):
                place += step
            else:
                break
        while begun != place:
            further = known[begun] if known[begun] != begun else begun + step
            known[begun] = place
            begun = further
        return place


class _Line:
    """Frames in the order of one of their instants, to find those near another: a busy second has thousands."""

    def __init__(self, frames: Iterable[_Frame], name: str, position: int) -> None:
        dated = sorted(
            (
                (at_s, number, frame)
                for number, frame in enumerate(frames)
                if (at_s := getattr(frame, name)) is not None
            ),
            key=lambda row: row[:2],
        )
        in_order = [frame for _, _, frame in dated]
        self._frames = in_order
        self._instants = Instants(
            (at_s for at_s, _, _ in dated), lambda place: position in in_order[place].statements
        )

    def near(self, at_s: float, within_s: float) -> Iterator[_Frame]:
        """Those that still lack the layer."""
        return (self._frames[place] for place in self._instants.near(at_s, within_s))


def _near(account: Account, starts: _Line, ends: _Line) -> list[_Frame]:
    """The nearest attempt that fits by instant, path and status and still lacks this layer, and another if any."""
    if account.end_s is None:
        return []
    within_s = CLOCKS_APART_S + account.coarse_s
    known_start = account.start_s if account.duration_s is not None else None
    found = (
        starts.near(known_start, within_s) if known_start is not None else ends.near(account.end_s, within_s)
    )
    path = bare_path(account.path)
    fits = (frame for frame in found if alike(path, account.status, bare_path(frame.path), frame.status))
    return list(islice(fits, 2))


def bare_path(path: str | None) -> str | None:
    """A path without its query; None where a line has none."""
    return path.split("?")[0] if path else None


def alike(path: str | None, status: int | None, other_path: str | None, other_status: int | None) -> bool:
    """Whether path and status do not speak against it: an outer layer may have answered otherwise than an inner."""
    if path is not None and other_path is not None and path != other_path:
        return False
    if status is None or other_status is None:
        return True
    return status == other_status or max(status, other_status) >= 400


# --- from and to evidence ---------------------------------------------------------------------------------


def _frame_of(evidence: AttemptEvidence) -> _Frame:
    outer = evidence.layers[0] if evidence.layers else None
    told = evidence.testimony[0].account if evidence.testimony else None
    return _Frame(
        evidence=evidence,
        trace_id=evidence.trace_id or None,
        request_id=evidence.seen.headers.get("x-request-id")
        if evidence.seen
        else (told.request_id if told else None),
        start_s=outer.start_s if outer else (told.start_s if told else None),
        end_s=outer.end_s if outer else (told.end_s if told else None),
        path=told.path if told else None,
        status=outer.status if outer else (told.status if told else None),
        statements={said.position: said for said in evidence.testimony},
    )


def _begun_by(account: Account, position: int, how: JoinedBy) -> _Frame:
    return _Frame(
        evidence=None,
        trace_id=account.trace_id,
        request_id=account.request_id,
        start_s=account.start_s if account.duration_s is not None else None,
        end_s=account.end_s,
        path=account.path,
        status=account.status,
        statements={position: Statement(position=position, account=account, joined_by=how)},
    )


def attempt_of(began: Statement, others: Iterable[Statement]) -> AttemptEvidence:
    """One attempt that only logs know of, where it is known already which lines are its own, and how."""
    frame = _begun_by(began.account, began.position, began.joined_by)
    for said in others:
        _put(frame, said)
    return _finished(frame)


def _finished(frame: _Frame) -> AttemptEvidence:
    testimony = tuple(frame.statements[position] for position in sorted(frame.statements))
    if frame.evidence is not None:
        return replace(frame.evidence, testimony=testimony)
    return AttemptEvidence(
        # A line without a name is named by its place; behind it are the places of what explains it.
        request=frame.request_id or frame.trace_id or testimony[0].account.place.partition(", ")[0],
        attempt=1,
        mode="",
        trace_id=frame.trace_id or "",
        outcome=None,
        status=frame.status,
        layers=(),
        generation=None,
        testimony=testimony,
    )
