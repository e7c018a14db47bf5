"""A log file to accounts: lines that cannot be read are counted and named, never guessed.

A layer that keeps two logs tells one story in both: an error line explains the access line of its request, and
stands for it where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from whocut.errors import BadFile
from whocut.trace.logs.records import Account, EndedBy, LogFormat, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NAMED: Final = 20  # unreadable lines that are named; all are counted
_APART_S: Final = 1.5  # an error log in whole seconds, and the access line written after it


@dataclass(slots=True)
class Read:
    """What came of the lines of one layer."""

    accounts: list[Account] = field(default_factory=list)
    lines: int = 0
    unreadable: int = 0
    named: list[str] = field(default_factory=list)

    def refuse(self, place: str, why: str) -> None:
        """Count a line that could not be read, and name it while there are few."""
        self.unreadable += 1
        if len(self.named) < _NAMED:
            self.named.append(f"{place}: {why}")


def read_file(path: Path, log: LogFormat, layer: str, into: Read) -> None:
    """Read one file.

    Raises:
        BadFile: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            read_lines(file, log, layer, str(path), into)
    except OSError as error:
        raise BadFile(path, f"it cannot be read: {error.strerror or error}") from None


def read_lines(lines: Iterable[bytes], log: LogFormat, layer: str, name: str, into: Read) -> None:
    """Read lines of bytes, whatever stands in them."""
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        into.lines += 1
        place = f"{name}:{number}"
        try:
            account = read_line(line, log)
        except Unreadable as error:
            into.refuse(place, str(error))
            continue
        if account is not None:
            into.accounts.append(replace(account, layer=layer, place=place))


def read_line(line: bytes, log: LogFormat) -> Account | None:
    """One line of bytes.

    Raises:
        Unreadable: it is not of this format.
    """
    return log.read(line.decode("utf-8", "replace").strip("\r\n \ufeff"))


def told_together(accounts: list[Account]) -> list[Account]:
    """One account a request: what error lines say laid over the access lines they belong to."""
    told = [account for account in accounts if not account.remark]
    remarks = [account for account in accounts if account.remark]
    if not remarks:
        return told
    by_key: dict[str, list[int]] = {}
    for index, account in enumerate(told):
        for key in account.keys:
            by_key.setdefault(key, []).append(index)
    alone: list[Account] = []
    for remark in remarks:
        found = _belongs_to(remark, told, by_key)
        if found is None:
            alone.append(remark)
        else:
            told[found] = _explained(told[found], remark)
    return told + alone


def _belongs_to(remark: Account, told: list[Account], by_key: dict[str, list[int]]) -> int | None:
    """The access line a remark explains: the only one that shares a key with it and was under way then."""
    for key in remark.keys:
        near = [index for index in by_key.get(key, ()) if _under_way(told[index], remark)]
        if len(near) > 1:
            ended_with_it = [index for index in near if _apart_s(told[index], remark) <= _APART_S]
            near = ended_with_it or near
        if len(near) == 1:
            return near[0]
        if near:
            return None
    return None


def _under_way(account: Account, remark: Account) -> bool:
    if account.end_s is None or remark.end_s is None or account.start_s is None:
        return True
    slack_s = _APART_S + (remark.coarse_s if account.duration_s is None else 0.0)
    return account.start_s - slack_s <= remark.end_s <= account.end_s + slack_s


def _apart_s(account: Account, remark: Account) -> float:
    if account.end_s is None or remark.end_s is None:
        return 0.0
    return abs(account.end_s - remark.end_s)


def _explained(account: Account, remark: Account) -> Account:
    """The access line with the meaning of its error line; a later remark does not undo an earlier cut."""
    if account.ended_by is EndedBy.LAYER and remark.ended_by is not EndedBy.LAYER:
        return account
    return replace(
        account,
        signal=f"{account.signal}; {remark.signal}",
        ended_by=remark.ended_by,
        phase=remark.phase,
        timer=remark.timer,
        directive=remark.directive,
        says=remark.says,
        caveat=remark.caveat,
        place=f"{account.place}, {remark.place}",
    )
