"""A log file to accounts: lines that cannot be read are counted and named, never guessed.

A layer that keeps two logs tells one story in both: an error line explains the access line of its request, and
takes its place where there is no such id.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from whocut.chain.timers import Phase
from whocut.errors import BadFile
from whocut.trace.logs.formats import recognise
from whocut.trace.logs.opening import opened
from whocut.trace.logs.prefixes import forms_of
from whocut.trace.logs.records import GAVE_UP, Account, EndedBy, LogFormat, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NAMED: Final = 20  # unreadable lines that are named; all are counted
_PASSED: Final = 3  # lines without a request that are named
LONGEST: Final = 64 * 1024  # bytes of a line; a longer one is unreadable
_APART_S: Final = 1.5  # an error log in whole seconds, and the access line written after it
FROM_BEGIN_S: Final = (
    600.0  # from a request's begin to its error line, where an access line has no more than the begin
)
_LOOKED_AT: Final = 64  # requests that were under way when an error line was written and may be meant by it


@dataclass(slots=True)
class Read:
    """What came of the lines of one layer. `passed` are of the format, and tell of no request's end."""

    accounts: list[Account] = field(default_factory=list)
    lines: int = 0
    unreadable: int = 0
    named: list[str] = field(default_factory=list)
    passed: int = 0
    passed_named: list[str] = field(default_factory=list)

    def refuse(self, place: str, why: str) -> None:
        """Count a line that could not be read, and name it while there are few."""
        self.unreadable += 1
        if len(self.named) < _NAMED:
            self.named.append(f"{place}: {why}")

    def pass_over(self, place: str, line: str) -> None:
        """Count a line of the format that tells of no request, and show the first few."""
        self.passed += 1
        if len(self.passed_named) < _PASSED:
            self.passed_named.append(f"{place}: {line[:120]}")


def read_file(path: Path, log: LogFormat, layer: str, into: Read) -> None:
    """Read one file.

    Raises:
        BadFile: it cannot be opened.
    """
    try:
        with opened(path) as file:
            read_lines(file, log, layer, str(path), into)
    except OSError as error:
        raise BadFile(path, f"it cannot be read: {error.strerror or error}") from None


def read_lines(lines: Iterable[bytes], log: LogFormat, layer: str, name: str, into: Read) -> None:
    """Read lines of bytes, whatever they hold."""
    for number, line in enumerate(lines, start=1):
        take_line(line, number, log, layer, name, into)


def take_line(line: bytes, number: int, log: LogFormat, layer: str, name: str, into: Read) -> Account | None:
    """Read one line, and count it; the account that came of it."""
    if not line or line.isspace():
        return None
    into.lines += 1
    place = f"{name}:{number}"
    line = line.rstrip(b"\r\n")
    if len(line) > LONGEST:
        into.refuse(place, f"it is {len(line)} bytes long; a line of a log has {LONGEST} at most")
        return None
    try:
        account = read_line(line, log)
    except Unreadable as error:
        into.refuse(place, _what_to_do(str(error), _text(line), log))
        return None
    if account is None:
        into.pass_over(place, _text(line))
        return None
    told = replace(account, layer=layer, place=place)
    into.accounts.append(told)
    return told


def read_line(line: bytes, log: LogFormat) -> Account | None:
    """One line of bytes.

    Raises:
        Unreadable: it is not of this format.
    """
    text = _text(line)
    try:
        return log.read(text)
    except Unreadable:
        bare = _as_written(text, log)
        if bare is None:
            raise
        return bare


def _as_written(text: str, log: LogFormat) -> Account | None:
    """What a line tells without what a collector put around it; None if it is of no form that is read."""
    for form in forms_of(text)[1:]:
        try:
            account = log.read(form)
        except Unreadable:
            continue
        if account is not None:
            return account
    return None


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip("\r\n \ufeff")


def _what_to_do(why: str, line: str, log: LogFormat) -> str:
    """Why a line cannot be read, whose it seems to be, and what to set."""
    found = recognise(line)
    if found is not None and found[0].name != log.name:
        return f"{why}; it is a line of {found[0].title}: give it as {found[0].name}=FILE"
    return f"{why}; {log.hint}" if log.hint and log.hint not in why else why


def told_together(accounts: list[Account], unjoined: list[Account] | None = None) -> list[Account]:
    """One account a request: what error lines say laid over the access lines they belong to.

    Where there is an access log, an error line that belongs to none of its lines is no request of its own: it goes
    to `unjoined`.
    """
    told = [account for account in accounts if not account.remark]
    remarks = [account for account in accounts if account.remark]
    if not remarks:
        return told
    lines = Lines(told)
    remarks = [remark for remark, _ in merged(remarks, told)]
    alone: list[Account] = []
    for remark in remarks:
        found = lines.belongs_to(remark)
        if found is None:
            alone.append(remark)
        else:
            told[found] = explained(told[found], remark)
    if not alone:  # the error log was given, and what it does not speak of went through whole
        told = [replace(one, caveat="") if one.ended_by is EndedBy.NONE else one for one in told]
    if not told:
        return tries_together(alone)
    if unjoined is not None:
        unjoined += alone
    return told


def merged(remarks: list[Account], told: Iterable[Account]) -> list[tuple[Account, list[int]]]:
    """Remarks, each with the numbers of the lines that it is of.

    Where access lines have a request's begin alone, what two modules say of it is one: one line is theirs, or none.
    """
    if any(one.at_begin for one in told):
        return _together(remarks)
    return [(remark, [number]) for number, remark in enumerate(remarks)]


class Lines:
    """Access lines by their keys, each key's in the order in which they ended.

    Lines that have no more than the request's begin are apart: its error line came up to ten minutes later. Such a
    line has to have the remark's path, and a timer's remark has to fit one line only; `merged` comes before.
    """

    def __init__(self, told: list[Account]) -> None:
        self._told = list(told)
        begun: dict[tuple[str, bool], list[tuple[float, int]]] = {}
        self._undated: dict[str, list[int]] = {}
        dated: dict[str, list[tuple[float, int]]] = {}
        for index, account in enumerate(told):
            for key in (*account.keys, ""):
                if account.at_begin and account.end_s is not None:
                    begun.setdefault((key, account.status in GAVE_UP), []).append((account.end_s, index))
                elif account.end_s is None:
                    self._undated.setdefault(key, []).append(index)
                else:
                    dated.setdefault(key, []).append((account.end_s, index))
        self._dated = {key: sorted(rows) for key, rows in dated.items()}
        self._begun = {key: sorted(rows) for key, rows in begun.items()}

    def belongs_to(self, remark: Account) -> int | None:
        """The access line a remark explains: the only one that shares a key with it and was under way then."""
        for key in remark.keys or ("",):
            near = [*self._near(key, remark), *self._begun_before(key, remark)]
            if remark.timer and any(self._told[index].at_begin for index in near):
                return near[0] if len(near) == 1 else None
            if len(near) > 1 or not remark.keys:
                near = [index for index in near if _apart_s(self._told[index], remark) <= _APART_S] or (
                    near if remark.keys else []
                )
            if len(near) == 1:
                return near[0]
            if near:
                return None
        return None

    def _near(self, key: str, remark: Account) -> list[int]:
        """Those that were under way when the remark was written, the first to end first; a bounded number."""
        rows = self._dated.get(key, [])
        start = 0 if remark.end_s is None else bisect_left(rows, (remark.end_s - _APART_S - 1.0, -1))
        found = [index for _, index in rows[start : start + _LOOKED_AT]]
        found += self._undated.get(key, [])[:_LOOKED_AT]
        return [index for index in found if _under_way(self._told[index], remark)]

    def _begun_before(self, key: str, remark: Account) -> list[int]:
        """Of the lines that have their begin alone, those that the remark may speak of by instant, status and path.

        A cut before the response is a 502, 503 or 504; one in mid-response has the status that had been sent.
        """
        for failed in (False, True) if remark.phase is Phase.STREAM else (True,):
            rows = self._begun.get((key, failed), [])
            start, stop = 0, len(rows)
            if remark.end_s is not None:
                start = bisect_left(rows, (remark.end_s - FROM_BEGIN_S, -1))
                stop = bisect_right(rows, (remark.end_s, len(self._told)))
            found = [index for _, index in rows[max(start, stop - _LOOKED_AT) : stop]]
            if stop - start > _LOOKED_AT:  # too many to tell apart, but for what was said at once
                found = [index for index in found if _apart_s(self._told[index], remark) <= _APART_S]
            if remark.path is not None:
                found = [index for index in found if _same_path(self._told[index].path, remark.path)]
            if found:
                return found
        return []


def _same_path(one: str | None, other: str) -> bool:
    return one is None or one.partition("?")[0] == other.partition("?")[0]


def _under_way(account: Account, remark: Account) -> bool:
    if account.end_s is None or remark.end_s is None or account.start_s is None:
        return True
    slack_s = _APART_S + (remark.coarse_s if account.duration_s is None else 0.0)
    return account.start_s - slack_s <= remark.end_s <= account.end_s + slack_s


def _apart_s(account: Account, remark: Account) -> float:
    if account.end_s is None or remark.end_s is None:
        return 0.0
    return abs(account.end_s - remark.end_s)


def explained(account: Account, remark: Account) -> Account:
    """The access line with the meaning of its error line; a later remark does not undo an earlier cut."""
    if account.ended_by is EndedBy.LAYER and remark.ended_by is not EndedBy.LAYER:
        return account
    return replace(
        account,
        signal=f"{account.signal}; {remark.signal}",
        ended_by=remark.ended_by,
        phase=remark.phase,
        timer=remark.timer,
        directive=account.directive
        if account.product and account.timer is remark.timer
        else remark.directive,
        says=remark.says,
        caveat=remark.caveat,
        place=f"{account.place}, {remark.place}",
    )


# --- error lines without an access line ---------------------------------------------------------------------


def tries_together(remarks: list[Account]) -> list[Account]:
    """Error lines of one request as one account: its tries at several upstreams, or what two modules say of it."""
    return [account for account, _ in _together(remarks)]


def _together(remarks: list[Account]) -> list[tuple[Account, list[int]]]:
    """The same, each with the numbers of its lines."""
    together: list[tuple[Account, list[int]]] = []
    latest: dict[str, int] = {}
    for number, remark in enumerate(remarks):
        key = remark.keys[0] if remark.keys else ""
        before = latest.get(key) if key else None
        if before is not None and _one_request(together[before][0], remark):
            account, numbers = together[before]
            together[before] = (_with_try(account, remark), [*numbers, number])
            continue
        if key:
            latest[key] = len(together)
        together.append((remark, [number]))
    return together


def _one_request(first: Account, then: Account) -> bool:
    """Whether a second error line of a connection is the same request's: another try, or another module's words."""
    apart_s = _apart_s(first, then)
    if first.asked is None and first.path is not None and then.path is not None and first.path != then.path:
        return False
    if first.asked is None or then.asked is None:
        return apart_s <= _APART_S
    if first.asked != then.asked or first.peer == then.peer:
        return False
    # Over HTTP/2 one connection carries many requests at once; the tries of one follow each other.
    return "HTTP/2" not in then.asked or apart_s >= 1.0


def _with_try(first: Account, then: Account) -> Account:
    """The earlier lines and the next: the last try is how it ended, and a cut is not undone by what follows it."""
    last = first if first.ended_by is EndedBy.LAYER and then.ended_by is not EndedBy.LAYER else then
    return replace(
        last,
        end_s=then.end_s if then.end_s is not None else first.end_s,
        peer=then.peer or first.peer,
        path=then.path or first.path,
        signal=first.signal if first.signal == then.signal else f"{first.signal}; {then.signal}",
        place=f"{first.place}, {then.place}",
    )
