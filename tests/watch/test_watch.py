"""The watch as a whole: what is acknowledged is judged once, over kills, rotations and restarts."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import wait_until
from tests.watch.made import exported, rows_of, timed_out
from tests.watch.others import as_json, as_protobuf, exports, random_trace
from tests.worlds.play import play
from tests.worlds.world import random_world
from whocut.clock import run_real
from whocut.config.sources import read_chain
from whocut.errors import BadInput, CouldNotRun
from whocut.foreign.files import attribute_files, parse_logs
from whocut.trace import otlp
from whocut.trace.receiver import JSON, PROTOBUF, Overloaded, Sent
from whocut.verdict.attribution import attribute_all
from whocut.watch.desk import Waiting
from whocut.watch.serve import Watch, WatchPlan
from whocut.watch.telling import spans_of

if TYPE_CHECKING:
    from pathlib import Path

    from whocut.verdict.verdict import Verdict
    from whocut.watch.desk import Decided

pytestmark = pytest.mark.sockets

EPOCH_UNIX_S = 1_795_345_500
SAME = ("request", "attempt", "kind", "grade", "layer", "timer", "phase", "directive")


class Now:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at_s = 1_000.0

    def __call__(self) -> float:
        """The instant that was set."""
        return self.at_s


def plan_in(folder: Path, **other: Any) -> WatchPlan:
    """A watch whose state is in a folder."""
    told: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "state": folder / "state",
        "verdicts": folder / "verdicts.jsonl",
    }
    return WatchPlan(**(told | other))


def verdicts_in(folder: Path) -> list[dict[str, Any]]:
    """Every line of the file of verdicts."""
    path = folder / "verdicts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def send_in(watch: Watch, body: bytes) -> None:
    """An export request, as the receiver hands it on."""
    watch.keep(Sent(JSON, body), watch.read(JSON, body))


def take(watch: Watch, trace: int) -> None:
    """An export request of one trace."""
    send_in(watch, exported(rows_of(trace)))


def alike(verdicts: list[Verdict] | list[dict[str, Any]]) -> Counter[tuple[str, ...]]:
    """What must be the same, whoever judged."""
    return Counter(
        tuple(str(one[name] if isinstance(one, dict) else getattr(one, name)) for name in SAME)
        for one in verdicts
    )


def test_run_attribute_and_watch_have_the_same_verdicts(tmp_path: Path) -> None:
    """Random worlds, their spans out of order and in pieces, with the chain known to all three."""
    for number in range(4):
        dice = random.Random(f"watch/{number}")
        world = random_world(dice, 20)
        spans, _ = play(world)
        folder = tmp_path / str(number)
        folder.mkdir()
        file = folder / "spans.jsonl"
        lines = [otlp.encode_line([span], EPOCH_UNIX_S) for span in spans]
        file.write_bytes(b"".join(lines))
        of_run = attribute_all((), spans, world.topology).verdicts
        of_attribute = attribute_files([file], [], world.topology).verdicts
        now = Now()
        watch = Watch(plan_in(folder, chain=world.topology), now_s=now)

        dice.shuffle(lines)
        for line in lines:
            send_in(watch, line)
        now.at_s += 10_000
        watch.decide()

        assert alike(verdicts_in(folder)) == alike(of_attribute) == alike(list(of_run))
        watch.close()


def test_a_followed_log_has_attributes_verdicts(tmp_path: Path) -> None:
    """Access log and error log of nginx as fixtures have them: the error log explains what the access log hides."""
    from tests.foreign.test_many import LOGS  # noqa: PLC0415

    files = [f"nginx={tmp_path / name}" for name in ("nginx-error.log", "nginx.log")]
    watch = Watch(plan_in(tmp_path, logs=parse_logs(files)), now_s=(now := Now()))
    for name in ("nginx-error.log", "nginx.log"):
        (tmp_path / name).write_bytes((LOGS / name).read_bytes())
        watch.follow()
        now.at_s += 1
    now.at_s += 1_000
    watch.decide()

    assert alike(verdicts_in(tmp_path)) == alike(attribute_files([], parse_logs(files)).verdicts)
    assert {row["timer"] for row in verdicts_in(tmp_path)} == {"first_byte", "idle", None}
    watch.decide()
    assert watch.journal.held_bytes == 0
    watch.close()


def test_an_error_log_alone_tells_of_requests_and_beside_an_access_log_of_none(tmp_path: Path) -> None:
    """No batch waits for ever for an access line that never comes."""
    from tests.foreign.test_many import LOGS, nginx_line  # noqa: PLC0415

    error, access = tmp_path / "error.log", tmp_path / "access.log"
    error.write_bytes((LOGS / "nginx-error.log").read_bytes())
    for beside in (False, True):
        folder = tmp_path / str(beside)
        access.write_text(nginx_line(1) + "\n")
        files = [f"nginx={error}", *([f"nginx={access}"] if beside else [])]
        watch = Watch(plan_in(folder, logs=parse_logs(files)), now_s=(now := Now()))
        watch.follow()
        for _ in range(4):
            now.at_s += 1_000
            watch.decide()

        assert alike(verdicts_in(folder)) == alike(attribute_files([], parse_logs(files)).verdicts)
        assert (len(verdicts_in(folder)) == 1) is beside
        assert ("whocut_unjoined_lines_total 0" in watch.exposition()) is not beside
        assert watch.journal.held_bytes == 0
        watch.close()


def test_a_restart_goes_on_where_the_last_watch_was(tmp_path: Path) -> None:
    """What is undecided is judged by the next one; what is decided stays so; the metrics go on counting."""
    now = Now()
    watch = Watch(plan_in(tmp_path), now_s=now)
    take(watch, 1)
    now.at_s += 60
    watch.decide()
    take(watch, 2)
    watch.close()

    watch = Watch(plan_in(tmp_path), now_s=now)
    take(watch, 1)  # an exporter that had no answer sends it again
    now.at_s += 1_000
    watch.decide()

    assert [row["trace"][-1] for row in verdicts_in(tmp_path)] == ["1", "2"]
    assert 'whocut_cuts_total{layer="gateway",timer="first_byte",phase="wait",grade="testified"} 2' in (
        watch.exposition()
    )
    assert watch.journal.held_bytes == 0
    watch.close()


@pytest.mark.parametrize("half", [False, True], ids=["whole", "half a line"])
def test_a_kill_between_the_file_and_the_journal_makes_no_verdict_twice(
    tmp_path: Path, *, half: bool
) -> None:
    """The file of verdicts was written, and the journal does not know of it yet."""
    now = Now()
    watch = Watch(plan_in(tmp_path), now_s=now)
    take(watch, 1)
    take(watch, 2)
    now.at_s += 60
    written = tmp_path / "verdicts.jsonl"
    state = {path: path.read_bytes() for path in (tmp_path / "state").iterdir() if path.name != "lock"}
    watch.decide()
    told = written.read_bytes()
    watch.close()
    for path in (tmp_path / "state").iterdir():
        if path.name != "lock":
            path.unlink()
    for path, content in state.items():
        path.write_bytes(content)
    written.write_bytes(told[:-40] if half else told)

    watch = Watch(plan_in(tmp_path), now_s=now)
    now.at_s += 1_000
    watch.decide()

    assert [row["trace"][-1] for row in verdicts_in(tmp_path)] == ["1", "2"]
    assert watch.metrics.kinds["cut"] == 2
    watch.close()


def test_a_rotated_log_is_read_to_its_end_and_then_the_new_one(tmp_path: Path) -> None:
    """Also where it was rotated while nothing followed it."""
    from tests.foreign.test_many import nginx_line  # noqa: PLC0415

    log = tmp_path / "access.log"
    plan = plan_in(tmp_path, logs=parse_logs([f"nginx={log}"]))
    now = Now()

    def add(path: Path, *numbers: int) -> None:
        with path.open("a") as file:
            file.writelines(nginx_line(number) + "\n" for number in numbers)

    watch = Watch(plan, now_s=now)
    watch.follow()  # there is no file yet
    add(log, 1, 2)
    watch.follow()
    add(log, 3)
    log.rename(tmp_path / "access.log.1")
    add(log, 4)
    watch.follow()
    watch.follow()
    watch.close()
    add(log, 5)
    log.rename(tmp_path / "access.log.1")
    add(log, 6)
    watch = Watch(plan, now_s=now)
    for _ in range(3):
        watch.follow()
    now.at_s += 1_000
    watch.decide()

    assert [row["request"] for row in verdicts_in(tmp_path)] == [f"request-{at}" for at in range(1, 7)]
    places = [row["evidence"][0]["fact"].rpartition(", ")[2] for row in verdicts_in(tmp_path)]
    assert [place.rstrip(")").rpartition(":")[2] for place in places] == ["1", "2", "3", "1", "2", "1"]
    watch.close()


def test_lines_without_a_name_are_judged_once_over_a_restart(tmp_path: Path) -> None:
    """Their place is their name, and it is the same when they are taken up again."""
    log = tmp_path / "access.log"
    log.write_text(
        "".join(
            f'192.0.2.{at} - - [22/Nov/2026:11:05:00 +0000] "POST /x HTTP/1.1" 499 0 "-" "a"\n'
            for at in range(5)
        )
    )
    plan = plan_in(tmp_path, logs=parse_logs([f"nginx={log}"]))
    now = Now()
    watch = Watch(plan, now_s=now)
    watch.follow()
    watch.close()
    watch = Watch(plan, now_s=now)
    now.at_s += 60
    watch.decide()
    watch.close()
    watch = Watch(plan, now_s=now)
    watch.follow()
    now.at_s += 60
    watch.decide()

    assert len(verdicts_in(tmp_path)) == 5
    watch.close()


def test_a_full_journal_asks_senders_to_come_again(tmp_path: Path) -> None:
    """What cannot be kept is not acknowledged."""
    now = Now()
    watch = Watch(plan_in(tmp_path, most_journal_bytes=3_500), now_s=now)
    take(watch, 1)
    take(watch, 2)
    with pytest.raises(Overloaded):
        take(watch, 3)
    now.at_s += 60
    watch.decide()
    take(watch, 9)
    now.at_s += 60
    watch.decide()

    assert watch.journal.held_bytes == 0
    assert verdicts_in(tmp_path)[-1]["trace"][-1] == "9"
    watch.close()


def test_a_request_is_kept_as_it_came_and_taken_up_again(tmp_path: Path) -> None:
    """JSON and protobuf, packed and not: the next watch reads from the journal what the last one acknowledged."""
    spans = random_trace(random.Random("kept"), 1) + random_trace(random.Random("kept"), 2)
    now = Now()
    watch = Watch(plan_in(tmp_path / "whole"), now_s=now)
    (export,) = exports(spans, random.Random(1), 100)
    send_in(watch, as_json(export))
    now.at_s += 1_000
    watch.decide()
    watch.close()
    expected = verdicts_in(tmp_path / "whole")

    for kind, body in ((JSON, as_json(export)), (PROTOBUF, as_protobuf(export))):
        for packed in (False, True):
            folder = tmp_path / f"{kind[-4:]} {packed}"
            watch = Watch(plan_in(folder), now_s=now)
            watch.keep(Sent(kind, gzip.compress(body) if packed else body, packed), watch.read(kind, body))
            watch.close()
            watch = Watch(plan_in(folder), now_s=now)
            now.at_s += 1_000
            watch.decide()
            watch.close()

            assert len(expected) > 0
            assert verdicts_in(folder) == expected


def test_a_trace_that_waits_long_has_no_other_of_its_batch_judged_twice(tmp_path: Path) -> None:
    """Which traces were decided is forgotten in time; what is left of a batch that is still kept is not."""
    waiting = Waiting(remembered=5)
    now = Now()
    watch = Watch(plan_in(tmp_path, waiting=waiting), now_s=now)
    for trace in (1, 2, 3):  # all four spans are usual from here on
        take(watch, trace)
    now.at_s += 60
    watch.decide()
    send_in(watch, exported([*rows_of(10), *rows_of(11)[:-1], *rows_of(12)]))  # 11 lacks its app
    for trace in range(20, 40):
        now.at_s += 15
        take(watch, trace)
        watch.decide()
    assert not watch.desk.knows(f"{12:032x}")
    assert [int(row["trace"], 16) for row in verdicts_in(tmp_path)][3:6] == [10, 12, 20]
    watch.close()

    watch = Watch(plan_in(tmp_path, waiting=waiting), now_s=now)
    send_in(watch, exported(rows_of(11)[-1:]))
    now.at_s += 1_000
    watch.decide()

    counted = Counter(int(row["trace"], 16) for row in verdicts_in(tmp_path))
    assert counted == dict.fromkeys([1, 2, 3, 10, 11, 12, *range(20, 40)], 1)
    assert watch.journal.held_bytes == 0
    watch.close()


def test_a_state_of_an_older_watch_is_taken_over(tmp_path: Path) -> None:
    """It kept a row for each decided trace, and requests as lines."""
    state = tmp_path / "state"
    state.mkdir()
    with contextlib.closing(sqlite3.connect(state / "journal.sqlite")) as db:
        db.executescript(
            "create table batches(number integer primary key, source text not null, body blob not null);"
            "create table decided(trace text primary key, number integer not null) without rowid;"
        )
        db.execute(
            "insert into batches values (1, 'otlp', ?)", (exported(rows_of(1)) + exported(rows_of(2)),)
        )
        db.execute("insert into decided values (?, 7)", (f"{1:032x}",))
        db.commit()

    for _ in range(2):
        watch = Watch(plan_in(tmp_path), now_s=(now := Now()))
        now.at_s += 1_000
        watch.decide()
        assert watch.desk.knows(f"{1:032x}")
        watch.close()

    assert [row["trace"][-1] for row in verdicts_in(tmp_path)] == ["2"]


def test_a_trace_that_does_not_fit_the_chain_is_counted_and_ends_nothing(tmp_path: Path) -> None:
    """A service of another chain sends its spans here, too."""
    chain = read_chain("edge-60")
    watch = Watch(plan_in(tmp_path, chain=chain), now_s=(now := Now()))
    send_in(watch, exported(rows_of(1)))
    now.at_s += 1_000
    watch.decide()

    assert "whocut_unfit_total 4" in watch.exposition()
    assert "whocut_judged_total 0" in watch.exposition()
    assert watch.journal.held_bytes == 0
    watch.close()


def test_two_watches_do_not_share_a_state_and_none_listens_beyond_this_machine(tmp_path: Path) -> None:
    """Each is told in a sentence."""
    watch = Watch(plan_in(tmp_path))
    with pytest.raises(CouldNotRun, match="another watch uses the state"):
        Watch(plan_in(tmp_path))
    with pytest.raises(BadInput, match="this machine only"):
        Watch(plan_in(tmp_path, host="0.0.0.0"))
    watch.close()


def test_the_endpoint_takes_spans_shows_metrics_and_admits_no_other_host(tmp_path: Path) -> None:
    """A page elsewhere that was given this address by its own name server reads nothing."""

    async def main() -> None:
        watch = Watch(plan_in(tmp_path, waiting=Waiting(quiet_s=0.1)))
        receiver = await watch.listen()

        def ask(path: str, body: bytes | None = None, host: str = "127.0.0.1") -> tuple[int, str]:
            request = urllib.request.Request(
                f"{receiver.endpoint}{path}", body, {"Host": host, "Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()

        status, _ = await asyncio.to_thread(ask, "/v1/traces", exported(rows_of(1)))
        assert status == 200
        for path, body in (("/metrics", None), ("/v1/traces", exported(rows_of(2)))):
            status, text = await asyncio.to_thread(ask, path, body, "evil.example")
            assert (status, "whocut_" in text) == (421, False)
        stopped = asyncio.Event()
        task = asyncio.create_task(watch.run(stopped))
        while not watch.metrics.decided:  # noqa: ASYNC110  # the watch tells nobody of its looks
            await asyncio.sleep(0.05)
        status, text = await asyncio.to_thread(ask, "/metrics")
        assert 'whocut_requests_total{kind="cut"} 1' in text
        assert 'whocut_refused_requests_total{status="421"} 2' in text
        stopped.set()
        await task
        await receiver.close()
        watch.close()

    run_real(main())


def test_verdicts_go_to_whoever_is_told(tmp_path: Path) -> None:
    """A span in the judged trace, under its root, with the verdict's words."""
    told: list[Decided] = []
    now = Now()
    watch = Watch(plan_in(tmp_path), now_s=now, tell=told.append)
    take(watch, 1)
    now.at_s += 60
    watch.decide()
    watch.close()

    (span,) = spans_of(told[0])

    assert span.trace_id == timed_out(1)[0].trace_id
    assert span.parent_id == timed_out(1)[0].span_id
    assert span.attributes["whocut.verdict.layer"] == "gateway"
    assert span.error == span.attributes["whocut.verdict.phrase"]


def start(folder: Path, mark: int) -> tuple[subprocess.Popen[bytes], str]:
    """A watch of its own process, and its endpoint."""
    out = (folder / f"out-{mark}").open("wb")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "whocut", "watch", "--listen", "127.0.0.1:0", "--quiet", "0.3", "--json"),
            *("--state", str(folder / "state"), "--out", str(folder / "verdicts.jsonl")),
        ],
        stdout=out,
        stderr=subprocess.STDOUT,
        env=os.environ | {"NO_COLOR": "1"},
    )
    out.close()
    path = folder / f"out-{mark}"
    wait_until(lambda: b"ready" in path.read_bytes() or process.poll() is not None)
    return process, json.loads(path.read_bytes().splitlines()[0])["endpoint"]


def send(endpoint: str, trace: int) -> bool:
    """Whether the export request of a trace was acknowledged; every second one is packed."""
    body, headers = exported(rows_of(trace)), {"Content-Type": "application/json"}
    if trace % 2:
        body, headers = gzip.compress(body), headers | {"Content-Encoding": "gzip"}
    request = urllib.request.Request(f"{endpoint}/v1/traces", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_killed_at_any_instant_nothing_acknowledged_is_lost_and_nothing_judged_twice(tmp_path: Path) -> None:
    """SIGKILL while spans come and verdicts are written; each next watch goes on."""
    acknowledged: set[int] = set()
    trace = 0
    dice = random.Random("kill")
    for round_ in range(3):
        process, endpoint = start(tmp_path, round_)
        for _ in range(dice.randint(20, 60)):
            trace += 1
            if send(endpoint, trace):
                acknowledged.add(trace)
        process.send_signal(signal.SIGKILL)
        process.wait()
    process, endpoint = start(tmp_path, 99)

    def judged() -> Counter[int]:
        return Counter(int(row["trace"], 16) for row in verdicts_in(tmp_path))

    wait_until(lambda: acknowledged <= set(judged()))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0

    assert len(acknowledged) > 50
    assert set(judged().values()) == {1}


def test_a_retry_after_a_cut_is_counted(tmp_path: Path) -> None:
    """What nobody received is told in dollars, and what was asked again without knowing is counted."""
    dice = random.Random("retries")
    world = random_world(dice, 40)
    spans, _ = play(world)
    now = Now()
    watch = Watch(plan_in(tmp_path, chain=world.topology), now_s=now)
    line = otlp.encode_line(spans, EPOCH_UNIX_S)
    send_in(watch, line)
    now.at_s += 10_000
    watch.decide()

    behind = [one.behind for one in attribute_all((), spans, world.topology).verdicts if one.behind]
    assert watch.metrics.orphaned == sum(one.orphaned for one in behind)
    lost = sum(one.billed_usd for one in behind if one.billed and (not one.delivered or one.handed_to))
    assert watch.metrics.undelivered_usd == pytest.approx(lost)
    watch.close()
