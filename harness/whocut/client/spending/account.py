"""The account: a file that outlives every run, and adds up what all processes of this machine spend.

It belongs to a key, not to an address: the same key pays, whichever taps and gateways are on the path. Lines are
only added, whole, under a lock on the file: a reservation before an attempt is sent, a settlement after it. So a
process that is killed at any instant leaves its reservations behind, and they count. The key itself is nowhere in
the file: its name is eight digits of a slow hash.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.client.spending.tally import Tally
from whocut.errors import BadFile, BadInput, CouldNotRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STATE: Final = "XDG_STATE_HOME"  # https://specifications.freedesktop.org/basedir-spec/latest/
_ROUNDS: Final = 600_000  # OWASP's figure for PBKDF2 with SHA-256
_FORMAT: Final = 1


def fingerprint(key: str) -> str:
    """Eight hex digits that tell keys apart, and from which no key can be found again."""
    return hashlib.pbkdf2_hmac("sha256", key.encode(), b"whocut account", _ROUNDS).hex()[:8]


def account_path(key: str) -> Path:
    """Where the account of a key lies unless the user names a file: in their state directory."""
    state = os.environ.get(_STATE)
    root = Path(state) if state else Path.home() / ".local" / "state"
    return root / "whocut" / f"account-{fingerprint(key)}.jsonl"


class SpendAccount:
    """An account as one process uses it; `run` names the run whose results its tally keeps."""

    def __init__(self, path: Path, *, run: str = "") -> None:
        """Open an account.

        Raises:
            BadInput: the file is missing.
            BadFile: the file is not an account.
            CouldNotRun: the file cannot be written.
        """
        self.path = path
        self.run = run
        self._open()

    def _open(self) -> None:
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            raise BadInput(f"there is no account {self.path}") from None
        except OSError as error:
            raise CouldNotRun(f"the account {self.path} cannot be written: {error.strerror}") from None
        self._owner = os.getpid()
        self._mutex = threading.Lock()
        self._read_to = 0
        self._lines = 0
        self._tally = Tally(run=self.run)
        self._opened_by: str | None = None

    @staticmethod
    def create(path: Path, facts: Mapping[str, Any]) -> None:
        """Begin a new, empty account.

        Raises:
            BadInput: there is one already, or none can be made here.
        """
        header = orjson.dumps({"account": _FORMAT, **facts}, option=orjson.OPT_APPEND_NEWLINE)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise BadInput(f"there is an account {path} already") from None
        except OSError as error:
            raise BadInput(f"no account can be made at {path}: {error.strerror}") from None
        try:
            os.write(fd, header)
            os.fsync(fd)
        finally:
            os.close(fd)

    @property
    def opened_by(self) -> str | None:
        """The fingerprint of the key it was opened for; None where it does not say.

        Raises:
            BadFile, CouldNotRun: as `locked`.
        """
        with self.locked():
            return self._opened_by

    @contextmanager
    def locked(self) -> Iterator[Tally]:
        """The sum as it is now, for all processes; no process adds to it until the block is left.

        Raises:
            BadFile: a line is invalid.
            CouldNotRun: the file is no longer there.
        """
        if self._owner != os.getpid():
            self._open()  # after a fork, parent and child would hold one lock together
        with self._mutex:  # the lock below is of the descriptor: it does not keep our own threads apart
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                self._still_there()
                self._catch_up()
                yield self._tally
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def add(self, row: Mapping[str, Any], *, durable: bool) -> None:
        """Add one line, whole or not at all; only while `locked`. `durable`: it survives the machine, too.

        Raises:
            CouldNotRun: the disk does not take it.
        """
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        why: str | None = "the disk is full"
        try:
            whole = os.write(self._fd, line) == len(line)
            if durable:
                os.fsync(self._fd)
        except OSError as error:
            whole, why = False, error.strerror
        if not whole:
            os.ftruncate(self._fd, self._read_to)
            raise CouldNotRun(f"the account {self.path} cannot be written: {why}")
        self._read_to += len(line)
        self._lines += 1
        self._tally.take(row)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)

    def _still_there(self) -> None:
        ours = os.fstat(self._fd)
        try:
            there = self.path.stat()
        except OSError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            raise CouldNotRun(
                f"the account {self.path} was taken away while it was in use; nothing more is sent"
            )

    def _catch_up(self) -> None:
        """Read what others have added; a line that its writer did not live to finish was never written."""
        size = os.fstat(self._fd).st_size
        if size < self._read_to:
            raise BadFile(self.path, "it has become shorter; an account only ever grows")
        data = os.pread(self._fd, size - self._read_to, self._read_to)
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._fd, self._read_to + whole)
        for line in data[:whole].splitlines():
            self._lines += 1
            try:
                row = orjson.loads(line)
                if self._lines == 1:
                    _check_format(row["account"])
                    self._opened_by = row.get("key")
                self._tally.take(row)
            except (KeyError, TypeError, ValueError) as error:
                raise BadFile(
                    self.path, f"it is not a line of an account: {error}", line=self._lines
                ) from None
        self._read_to += whole
        if not self._lines:
            raise BadFile(self.path, "it is empty, and so is no account")


def _check_format(written: object) -> None:
    if written != _FORMAT:
        raise ValueError(f"it is of format {written}, and this version reads {_FORMAT}")
