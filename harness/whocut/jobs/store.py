"""The store: every job, its images and its callbacks, in one SQLite file that survives a kill at any instant.

The order of two commits is the whole promise. A job is committed before its submit is answered, so none is lost. It
is committed as `sent` before a byte of it leaves, so a restart knows which outcomes are unknown, and sends none of
these again. Each commit is on the disk when it returns (`synchronous=FULL`).
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import sqlite3
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from whocut.errors import BadInput, CouldNotRun, NoRoom
from whocut.jobs.records import Credits, Job, JobState, Letter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from whocut.jobs.order import Order
    from whocut.jobs.records import LetterOf

_DIED: Final = (
    "the service ended while the request was under way; the image may have been made and paid. Order it again if"
    " you want it"
)
_SCHEMA: Final = """
create table if not exists jobs(
  id text primary key, created_s real not null, key text unique, digest text not null, wanted text not null,
  webhook text, state text not null, attempts integer not null default 0, due_s real not null default 0,
  sent_s real, ended_s real, error text, code text, usage text,
  bound_nano integer not null, cost_nano integer not null default 0
);
create index if not exists jobs_by_state on jobs(state, created_s);
create table if not exists images(
  job text not null references jobs(id) on delete cascade, n integer not null, media text not null,
  content blob not null, primary key(job, n)
);
create table if not exists letters(
  id text primary key, job text not null, url text not null, body blob not null, tries integer not null default 0,
  due_s real not null, state text not null, said text
);
create table if not exists facts(name text primary key, value text not null);
"""


class KeyTakenError(BadInput):
    """The idempotency key belongs to another order."""


class NoCreditError(BadInput):
    """The budget does not hold the most that this order can cost."""


def path_of(written: str) -> Path:
    """The file of a store as it is written: ``sqlite:///jobs.db``, or a path.

    Raises:
        BadInput: another kind of store is named.
    """
    kind, scheme, rest = written.partition("://")
    if not scheme:
        return Path(written)
    if kind != "sqlite" or not rest.startswith("/") or len(rest) < 2:
        raise BadInput(
            f"the kind of store is unknown: '{kind}://…'. Name a file of SQLite, like sqlite:///jobs.db",
            field="store",
        )
    return Path(rest[1:])


class Store:
    """The jobs in one file; one service holds it at a time.

    Raises:
        CouldNotRun: the file cannot be written, or another service holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hold = _hold(path)
        opened: list[sqlite3.Connection] = []
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None)
            opened.append(self._db)
            self._db.row_factory = sqlite3.Row
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=full")
            self._db.execute("pragma foreign_keys=on")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            for connection in opened:
                connection.close()
            os.close(self._hold)
            raise CouldNotRun(f"the store {path} cannot be used: {error}") from None

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        os.close(self._hold)

    def fact(self, name: str, value: str) -> str:
        """A fact that is chosen once and kept; `value` where it is new."""
        with self._commit():
            self._db.execute("insert into facts values(?,?) on conflict do nothing", (name, value))
            row = self._db.execute("select value from facts where name=?", (name,)).fetchone()
        return str(row["value"])

    @property
    def secret(self) -> str:
        """What callbacks are signed with, by Standard Webhooks."""
        return self.fact("secret", "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())

    def accept(
        self, order: Order, key: str | None, now_s: float, *, bound_nano: int, budget_nano: int | None
    ) -> tuple[Job, bool]:
        """Take an order, and say whether it is new: the same order under the same key is one job.

        Raises:
            KeyTakenError: the key belongs to another order.
            NoCreditError: the budget does not hold it.
        """
        with self._commit():
            found = self._one("select * from jobs where key=?", (key,)) if key is not None else None
            if found is not None:
                if found.digest != order.digest:
                    raise KeyTakenError("the idempotency key belongs to another order; send a new key")
                return found, False
            if budget_nano is not None and self.credits().gone + bound_nano > budget_nano:
                raise NoCreditError("the budget does not hold the most that this image can cost")
            job_id = f"job_{secrets.token_hex(12)}"
            self._db.execute(
                "insert into jobs(id,created_s,key,digest,wanted,webhook,state,bound_nano)"
                " values(?,?,?,?,?,?,?,?)",
                (
                    job_id,
                    now_s,
                    key,
                    order.digest,
                    orjson.dumps(order.wanted).decode(),
                    order.webhook,
                    JobState.QUEUED,
                    bound_nano,
                ),
            )
        return self.get(job_id), True

    def get(self, job_id: str) -> Job:
        """The job of this id.

        Raises:
            KeyError: the id is unknown.
        """
        found = self._one("select * from jobs where id=?", (job_id,))
        if found is None:
            raise KeyError(job_id)
        return found

    def newest(self, most: int) -> list[Job]:
        """So many jobs, the newest first."""
        rows = self._db.execute("select * from jobs order by created_s desc, rowid desc limit ?", (most,))
        return [_job(row) for row in rows]

    def ready(self, now_s: float, most: int) -> list[Job]:
        """So many jobs that may be sent now, the oldest first."""
        rows = self._db.execute(
            "select * from jobs where state=? or (state=? and due_s<=?) order by created_s, rowid limit ?",
            (JobState.QUEUED, JobState.WAITING, now_s, most),
        )
        return [_job(row) for row in rows]

    def next_due_s(self) -> float | None:
        """When the next waiting job may be sent."""
        row = self._db.execute(
            "select min(due_s) as due_s from jobs where state=?", (JobState.WAITING,)
        ).fetchone()
        return None if row["due_s"] is None else float(row["due_s"])

    def waiting(self) -> int:
        """How many jobs are not over."""
        row = self._db.execute(
            "select count(*) as n from jobs where state in (?,?,?)",
            (JobState.QUEUED, JobState.WAITING, JobState.SENT),
        ).fetchone()
        return int(row["n"])

    def sending(self, job_id: str, now_s: float) -> bool:
        """Commit that a byte of it is about to leave; False where it is not to be sent any more."""
        return self._move(
            "update jobs set state=?, attempts=attempts+1, sent_s=coalesce(sent_s,?) where id=? and state in (?,?)",
            (JobState.SENT, now_s, job_id, JobState.QUEUED, JobState.WAITING),
        )

    def wait(self, job_id: str, due_s: float, why: str) -> bool:
        """Commit that it was refused before any work, and is to be sent again at this instant."""
        return self._move(
            "update jobs set state=?, due_s=?, error=? where id=? and state=?",
            (JobState.WAITING, due_s, why, job_id, JobState.SENT),
        )

    def deliver(
        self,
        job_id: str,
        now_s: float,
        images: Sequence[tuple[str, bytes]],
        usage: Mapping[str, Any] | None,
        cost_nano: int,
        letter: Letter | None,
    ) -> bool:
        """Commit its images, its cost and its callback together."""
        with self._commit():
            moved = self._db.execute(
                "update jobs set state=?, ended_s=?, usage=?, cost_nano=?, error=null where id=? and state=?",
                (JobState.DELIVERED, now_s, orjson.dumps(usage).decode(), cost_nano, job_id, JobState.SENT),
            )
            if moved.rowcount == 0:
                return False
            self._db.executemany(
                "insert into images values(?,?,?,?)",
                [(job_id, n, media, content) for n, (media, content) in enumerate(images)],
            )
            self._post(letter)
        return True

    def end(
        self,
        job_id: str,
        now_s: float,
        state: JobState,
        error: str,
        code: str | None,
        letter: Letter | None,
        *,
        paid: bool,
    ) -> bool:
        """Commit an end without an image; `paid` counts the most that it can have cost.

        A job can be cancelled before it is sent, and not after.
        """
        sent = JobState.QUEUED if state is JobState.CANCELLED else JobState.SENT
        with self._commit():
            moved = self._db.execute(
                "update jobs set state=?, ended_s=?, error=?, code=?, cost_nano=iif(?,bound_nano,0)"
                " where id=? and state in (?,?,?)",
                (state, now_s, error, code, paid, job_id, JobState.QUEUED, JobState.WAITING, sent),
            )
            if moved.rowcount == 0:
                return False
            self._post(letter)
        return True

    def recover(self, now_s: float, letter_of: LetterOf) -> list[Job]:
        """After a start: what was under way when the service before ended has an unknown outcome."""
        rows = self._db.execute("select * from jobs where state=?", (JobState.SENT,)).fetchall()
        for row in rows:
            job = _job(row)
            letter = letter_of(job, JobState.UNKNOWN, now_s)
            self.end(job.id, now_s, JobState.UNKNOWN, _DIED, "service_ended", letter, paid=True)
        return [_job(row) for row in rows]

    def image(self, job_id: str, n: int) -> tuple[str, bytes]:
        """The media type and the bytes of an image.

        Raises:
            KeyError: there is no such image.
        """
        row = self._db.execute(
            "select media, content from images where job=? and n=?", (job_id, n)
        ).fetchone()
        if row is None:
            raise KeyError(job_id)
        return str(row["media"]), bytes(row["content"])

    def images(self, job_id: str) -> int:
        """How many images it has."""
        row = self._db.execute("select count(*) as n from images where job=?", (job_id,)).fetchone()
        return int(row["n"])

    def forget(self, job_id: str) -> None:
        """Take away its images and its words; the sums keep what it cost."""
        with self._commit():
            self._db.execute("delete from images where job=?", (job_id,))
            self._db.execute("delete from letters where job=?", (job_id,))
            self._db.execute("update jobs set wanted='{}', webhook=null where id=?", (job_id,))

    def credits(self) -> Credits:
        """The sums of all jobs."""
        row = self._db.execute(
            "select"
            " coalesce(sum(iif(state in (?,?,?), cost_nano, 0)),0) as spent,"
            " coalesce(sum(iif(state=?, cost_nano, 0)),0) as unknown,"
            " coalesce(sum(iif(state in (?,?,?), bound_nano, 0)),0) as held from jobs",
            (
                JobState.DELIVERED,
                JobState.FAILED,
                JobState.CANCELLED,
                JobState.UNKNOWN,
                JobState.QUEUED,
                JobState.WAITING,
                JobState.SENT,
            ),
        ).fetchone()
        return Credits(int(row["spent"]), int(row["unknown"]), int(row["held"]))

    def letters_due(self, now_s: float, most: int) -> list[Letter]:
        """Callbacks to be sent now."""
        rows = self._db.execute(
            "select * from letters where state='open' and due_s<=? order by due_s limit ?", (now_s, most)
        )
        return [
            Letter(row["id"], row["job"], row["url"], bytes(row["body"]), row["tries"], row["due_s"])
            for row in rows
        ]

    def next_letter_s(self) -> float | None:
        """When the next callback is due."""
        row = self._db.execute("select min(due_s) as due_s from letters where state='open'").fetchone()
        return None if row["due_s"] is None else float(row["due_s"])

    def letter_tried(self, letter_id: str, state: str, said: str, due_s: float) -> None:
        """Commit how a callback was answered: `open` is tried again, `accepted` and `given_up` are over."""
        self._move(
            "update letters set state=?, said=?, due_s=?, tries=tries+1 where id=?",
            (state, said, due_s, letter_id),
        )

    def callback_of(self, job_id: str) -> dict[str, Any] | None:
        """The state of a job's callback."""
        row = self._db.execute("select state, said, tries from letters where job=?", (job_id,)).fetchone()
        return None if row is None else dict(row)

    def _post(self, letter: Letter | None) -> None:
        if letter is not None:
            self._db.execute(
                "insert into letters(id,job,url,body,due_s,state) values(?,?,?,?,?,'open')",
                (letter.id, letter.job, letter.url, letter.body, letter.due_s),
            )

    def _move(self, statement: str, values: tuple[Any, ...]) -> bool:
        with self._commit():
            return self._db.execute(statement, values).rowcount > 0

    def _one(self, statement: str, values: tuple[Any, ...]) -> Job | None:
        row = self._db.execute(statement, values).fetchone()
        return None if row is None else _job(row)

    @contextmanager
    def _commit(self) -> Iterator[None]:
        """Commit all of it or nothing; a full disk has often rolled back by itself, and its own words are kept."""
        try:
            self._db.execute("begin immediate")
            yield
            self._db.execute("commit")
        except BaseException as error:
            with suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("rollback")
            if isinstance(error, sqlite3.OperationalError):
                raise NoRoom(f"the store {self.path}", str(error)) from error
            raise


def _job(row: sqlite3.Row) -> Job:
    facts = dict(row)
    facts["wanted"] = orjson.loads(facts["wanted"])
    facts["usage"] = orjson.loads(facts["usage"]) if facts["usage"] else None
    facts["state"] = JobState(facts["state"])
    return Job(**facts)


def _hold(path: Path) -> int:
    """Hold the store for this process; a killed one releases it."""
    try:
        fd = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CouldNotRun(f"the store {path} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise CouldNotRun(f"another service holds the store {path}; end it, or name another store") from None
    return fd
