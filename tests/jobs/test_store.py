"""The store: one order is one job, a full disk says so, a restart knows what is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from whocut.errors import BadInput, CouldNotRun, NoRoom
from whocut.jobs.letters import letter_of
from whocut.jobs.order import read_order
from whocut.jobs.records import JobState
from whocut.jobs.store import KeyTakenError, NoCreditError, Store, path_of

ORDER = read_order(b'{"prompt": "a heron"}')
OTHER = read_order(b'{"prompt": "two herons"}')


def filled(store: Store) -> None:
    """Let the disk be full: the file may not grow by a page."""
    pages = store._db.execute("pragma page_count").fetchone()[0]
    store._db.execute(f"pragma max_page_count={pages}")


def with_room(store: Store) -> None:
    """Make room again."""
    store._db.execute("pragma max_page_count=1073741823")


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("sqlite:///jobs.db", Path("jobs.db")),
        ("sqlite:////var/jobs.db", Path("/var/jobs.db")),
        ("a/jobs.db", Path("a/jobs.db")),
    ],
)
def test_store_is_named_by_a_url_or_a_path(written: str, file: Path) -> None:
    """Three slashes and a relative path, four and an absolute one, or no scheme."""
    assert path_of(written) == file


@pytest.mark.parametrize("written", ["postgresql://127.0.0.1/jobs", "sqlite://", "sqlite:///", "redis://x"])
def test_unknown_kind_of_store_is_refused_in_one_sentence(written: str) -> None:
    """No database but SQLite is supported, and the sentence says what to write."""
    with pytest.raises(BadInput, match=r"the kind of store is unknown: .* sqlite:///jobs\.db"):
        path_of(written)


def test_same_order_under_one_key_is_one_job_and_another_order_is_refused(tmp_path: Path) -> None:
    """The idempotency key, in the same store and after a reopening."""
    store = Store(tmp_path / "jobs.db")
    first, new = store.accept(ORDER, "k", 1.0, bound_nano=5, budget_nano=None)
    store.close()
    store = Store(tmp_path / "jobs.db")

    again, renewed = store.accept(ORDER, "k", 2.0, bound_nano=5, budget_nano=None)

    assert (new, renewed, again.id) == (True, False, first.id)
    with pytest.raises(KeyTakenError):
        store.accept(OTHER, "k", 3.0, bound_nano=5, budget_nano=None)
    store.close()


def test_budget_counts_what_is_held_and_what_is_unknown(tmp_path: Path) -> None:
    """A second order of 5 does not fit into 9, and after an unknown outcome it does not fit either."""
    store = Store(tmp_path / "jobs.db")
    job, _ = store.accept(ORDER, None, 1.0, bound_nano=5, budget_nano=9)
    with pytest.raises(NoCreditError):
        store.accept(ORDER, None, 1.0, bound_nano=5, budget_nano=9)
    store.sending(job.id, 2.0)
    store.recover(3.0, letter_of)
    with pytest.raises(NoCreditError):
        store.accept(ORDER, None, 4.0, bound_nano=5, budget_nano=9)
    assert (store.credits().unknown, store.credits().held) == (5, 0)
    store.close()


def test_full_disk_takes_no_order_and_says_what_is_full(tmp_path: Path) -> None:
    """The database's own words arrive; the transaction is gone, and with room the next one is taken."""
    store = Store(tmp_path / "jobs.db")
    filled(store)
    long = read_order(b'{"prompt": "' + b"heron " * 4_000 + b'"}')

    with pytest.raises(NoRoom, match="database or disk is full"):
        store.accept(long, "k", 1.0, bound_nano=5, budget_nano=None)

    assert store.waiting() == 0
    with_room(store)
    assert store.accept(long, "k", 1.0, bound_nano=5, budget_nano=None)[1]
    store.close()


def test_full_disk_keeps_a_sent_job_sent_and_with_room_it_is_delivered(tmp_path: Path) -> None:
    """No half of a delivery is left behind by a failed one."""
    store = Store(tmp_path / "jobs.db")
    job, _ = store.accept(ORDER, None, 1.0, bound_nano=5, budget_nano=None)
    store.sending(job.id, 2.0)
    filled(store)
    images = [("image/png", b"x" * 100_000)]

    with pytest.raises(NoRoom, match="database or disk is full"):
        store.deliver(job.id, 3.0, images, None, 5, None)

    assert (store.get(job.id).state, store.images(job.id)) == (JobState.SENT, 0)
    with_room(store)
    assert store.deliver(job.id, 4.0, images, None, 5, None)
    assert store.image(job.id, 0) == images[0]
    store.close()


def test_restart_marks_what_was_under_way_unknown_and_nothing_else(tmp_path: Path) -> None:
    """A queued job stays queued and a waiting one waits; only what was sent is unknown, and it counts as paid."""
    store = Store(tmp_path / "jobs.db")
    queued, sent, waiting = (
        store.accept(ORDER, None, float(n), bound_nano=5, budget_nano=None)[0] for n in range(3)
    )
    for job in (sent, waiting):
        store.sending(job.id, 4.0)
    store.wait(waiting.id, 9.0, "the rate limit let it wait")
    store.close()
    store = Store(tmp_path / "jobs.db")

    unknown = store.recover(5.0, letter_of)

    assert [job.id for job in unknown] == [sent.id]
    states = [store.get(job.id).state for job in (queued, sent, waiting)]
    assert states == [JobState.QUEUED, JobState.UNKNOWN, JobState.WAITING]
    assert store.get(sent.id).cost_nano == 5
    assert [job.id for job in store.ready(100.0, 9)] == [queued.id, waiting.id]
    store.close()


def test_one_store_has_one_service_and_its_owner_alone_reads_it(tmp_path: Path) -> None:
    """A second service is refused; the file is for its owner; every commit is on the disk."""
    store = Store(tmp_path / "jobs.db")
    with pytest.raises(CouldNotRun, match="another service holds the store"):
        Store(tmp_path / "jobs.db")
    assert (tmp_path / "jobs.db").stat().st_mode & 0o777 == 0o600
    assert store._db.execute("pragma synchronous").fetchone()[0] == 2
    assert store._db.execute("pragma journal_mode").fetchone()[0] == "wal"
    store.close()


def test_file_that_is_no_database_is_refused_with_its_name(tmp_path: Path) -> None:
    """A mistaken path does not overwrite a file."""
    (tmp_path / "notes.txt").write_text("not a database, and long enough to be one" * 40)
    with pytest.raises(CouldNotRun, match=r"notes\.txt"):
        Store(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text().startswith("not a database")
