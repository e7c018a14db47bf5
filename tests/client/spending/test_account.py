"""The account and its guard: whoever shares the file, in whatever order, however they die, the budget holds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whocut.chain.money import dollars, nano_usd
from whocut.client.spending import Guard, SpendAccount, account_path
from whocut.client.spending.account import fingerprint
from whocut.client.spending.bound import Price
from whocut.client.spending.guard import Withheld
from whocut.client.spending.tally import Limits, Why
from whocut.errors import BadFile, BadInput, CouldNotRun
from whocut.trace.records import Attempt, Outcome

if TYPE_CHECKING:
    from whocut.client.spending import Permit

CENT = 10_000_000
TOKEN = 30_000  # nano-dollars of an output token of gpt-image-2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new, empty account."""
    SpendAccount.create(tmp_path / "account.jsonl", {"key": "test"})
    return tmp_path / "account.jsonl"


def guard(
    path: Path, budget: int, *, attempts: int | None = None, run: str = "run", tries_behind: int = 1
) -> Guard:
    """A process's guard on an account; `budget` in nano-dollars."""
    return Guard(
        SpendAccount(path, run=run),
        Limits(budget_nano_usd=budget, max_attempts=attempts),
        tries_behind=tries_behind,
    )


def price(tokens: int) -> Price:
    """An attempt that can make so many output tokens."""
    return Price(nano_usd=tokens * TOKEN, model="gpt-image-2", quality="high")


def test_the_folder_of_accounts_is_its_user_s_alone(tmp_path: Path) -> None:
    """Whatever the umask: another account of the machine cannot put a file of its own in an account's place."""
    before = os.umask(0)
    try:
        SpendAccount.create(tmp_path / "state" / "account.jsonl", {"key": "test"})
    finally:
        os.umask(before)

    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def settle(permit: Permit, outcome: Outcome, tokens: int | None = None) -> None:
    """End an attempt; with `tokens`, its answer says how many it used."""
    attempt = Attempt(
        request="r", number=1, mode="", trace_id="1" * 32, span_id="1" * 16, user=1, started_s=0
    )
    attempt.outcome = outcome
    permit.settle(attempt, {"input_tokens": 0, "output_tokens": tokens} if tokens is not None else None, None)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), st.integers(0, 2), st.integers(1, 50)),
        st.tuples(st.just("deliver"), st.integers(0, 2), st.integers(0, 50)),
        st.tuples(st.just("lose"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("kill"), st.integers(0, 2), st.integers(0, 30)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(OPERATIONS, st.integers(0, 300))
def test_no_interleaving_of_processes_deaths_and_restarts_passes_the_budget(
    operations: list[tuple[str, int, int]], budget_tokens: int
) -> None:
    """Whatever a killed process had sent is billed in full; nothing that still fits is refused for good."""
    billed: list[int] = []  # what the upstream bills in the end, at the most, in tokens
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "account.jsonl"
        SpendAccount.create(path, {})
        processes = [guard(path, budget_tokens * TOKEN) for _ in range(3)]
        in_flight: list[list[tuple[Permit, int]]] = [[], [], []]
        for what, which, number in operations:
            if what == "admit":
                if processes[which].stopped:
                    continue
                fits = sum(billed) + number <= budget_tokens
                permit = None
                with suppress(Withheld):
                    permit = processes[which].admit(price(number))
                assert (permit is not None) == fits
                if permit is not None:
                    in_flight[which].append((permit, len(billed)))
                    billed.append(number)
            elif what == "kill":
                processes[which].account.close()
                with path.open("ab") as file:
                    file.write(b'{"reserved": "half a line, never finished'[:number])
                processes[which] = guard(path, budget_tokens * TOKEN)
                in_flight[which] = []
            elif in_flight[which]:
                permit, index = in_flight[which].pop(number % len(in_flight[which]))
                if what == "deliver":
                    billed[index] = min(number, billed[index])
                    settle(permit, Outcome.DELIVERED, billed[index])
                else:
                    settle(permit, Outcome.RESET)
            assert sum(billed) <= budget_tokens
        for process in processes:
            with process.account.locked() as tally:
                assert tally.total_nano_usd == sum(billed) * TOKEN
            process.account.close()


def test_processes_that_reserve_at_the_same_time_share_one_sum(path: Path) -> None:
    """Four processes ask as fast as they can, fifty times each: sixty fit, and sixty go out."""
    program = (
        "import sys; from pathlib import Path\n"
        "from whocut.client.spending import SpendAccount, Guard\n"
        "from whocut.client.spending.bound import Price\n"
        "from whocut.client.spending.tally import Limits\n"
        "from whocut.errors import CouldNotRun\n"
        "guard = Guard(SpendAccount(Path(sys.argv[1])), Limits(budget_nano_usd=60))\n"
        "sys.stdin.readline()\n"
        "for _ in range(50):\n"
        "    try: permit = guard.admit(Price(nano_usd=1))\n"
        "    except CouldNotRun: break\n"
        "    if permit is None: break\n"
        "    print('sent', flush=True)\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]

    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    sent = sum(child.communicate(timeout=60)[0].count("sent") for child in children)

    assert sent == 60
    with SpendAccount(path).locked() as tally:
        assert (tally.attempts, tally.total_nano_usd) == (60, 60)


def test_a_forked_process_takes_the_lock_for_itself(path: Path) -> None:
    """Locust's `--processes` forks: parent and child must not hold one lock together, nor count apart."""
    account = SpendAccount(path)
    reader, writer = os.pipe()
    with account.locked():
        child = os.fork()
        if child == 0:  # pragma: no cover  # coverage does not see a process that ends so
            with account.locked() as tally:
                os.write(writer, f"{tally.attempts}".encode())
            os._exit(0)
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
        account.add({"reserved": "parent", "nano_usd": 1}, durable=False)
    os.waitpid(child, 0)

    assert os.read(reader, 8) == b"1"


def test_a_restart_goes_on_from_what_was_spent(path: Path) -> None:
    """The second run of a budget that the first has used up sends nothing, and says why and where."""
    first = guard(path, 5 * CENT)
    permit = first.admit(Price(nano_usd=5 * CENT))
    assert permit is not None
    settle(permit, Outcome.TIMEOUT)

    second = guard(path, 5 * CENT)
    with pytest.raises(Withheld) as refused:
        second.admit(Price(nano_usd=CENT))

    assert str(refused.value) == (
        f"the budget of $0.05 is used up: $0.05 is spent or reserved, and the next attempt may cost $0.01; the "
        f"account is {path}; a higher --budget-usd continues from there"
    )


def test_a_higher_budget_goes_on(path: Path) -> None:
    """The way out that the sentence names is one."""
    assert guard(path, 5 * CENT).admit(Price(nano_usd=5 * CENT)) is not None

    assert guard(path, 6 * CENT).admit(Price(nano_usd=CENT)) is not None


def test_what_was_in_flight_when_its_process_died_counts_in_full(path: Path) -> None:
    """And is named as what it is."""
    dead = guard(path, 5 * CENT)
    assert dead.admit(Price(nano_usd=4 * CENT)) is not None
    dead.account.close()

    with pytest.raises(Withheld, match=r"\$0.04 of it for attempts whose end is unknown"):
        guard(path, 5 * CENT).admit(Price(nano_usd=2 * CENT))


def test_an_attempt_that_may_fit_later_waits_and_then_goes(path: Path) -> None:
    """The bound of `auto` is several times what it costs: what is in flight settles before anybody is refused."""
    process = guard(path, 5 * CENT)
    first = process.admit(price(1000))  # three cents
    assert first is not None

    assert process.admit(price(1000)) is None
    settle(first, Outcome.DELIVERED, tokens=10)

    assert process.admit(price(1000)) is not None


def test_the_number_of_attempts_holds_over_restarts_and_settlements(path: Path) -> None:
    """Retries and new processes count on; a free refusal counts as well, for it was on the wire."""
    for run in ("one", "two", "three"):
        permit = guard(path, CENT, attempts=3, run=run).admit(Price(nano_usd=1))
        assert permit is not None
        settle(permit, Outcome.REFUSED)

    with pytest.raises(Withheld, match="--max-requests 3 is reached: 3 attempts have gone out") as refused:
        guard(path, CENT, attempts=3).admit(Price(nano_usd=1))
    assert refused.value.why is Why.ATTEMPTS


def test_failures_of_all_processes_of_a_run_open_its_breaker_and_no_other_s(path: Path) -> None:
    """Ten lost attempts of two workers stop both; the next run begins with a window of its own."""
    workers = [guard(path, CENT, run="first") for _ in range(2)]
    for number in range(10):
        permit = workers[number % 2].admit(Price(nano_usd=1))
        assert permit is not None
        settle(permit, Outcome.RESET)

    for worker in workers:
        with pytest.raises(Withheld, match="more than 50% of the last 20 attempts fail") as refused:
            worker.admit(Price(nano_usd=1))
        assert refused.value.why is Why.FAILING
    assert guard(path, CENT, run="second").admit(Price(nano_usd=1)) is not None


def test_a_bill_above_the_bound_stops_everything(path: Path) -> None:
    """The price table is wrong then, and no bound holds any more."""
    process = guard(path, 100 * CENT)
    permit = process.admit(price(10))
    assert permit is not None
    settle(permit, Outcome.DELIVERED, tokens=11)

    with pytest.raises(Withheld, match="more than the price table allows"):
        process.admit(price(1))


def test_layers_that_send_again_are_reserved_for(path: Path) -> None:
    """One attempt through a layer that tries three times can be billed three times; two stay reserved."""
    process = guard(path, 100 * CENT, tries_behind=3)
    permit = process.admit(price(10))
    assert permit is not None
    settle(permit, Outcome.DELIVERED, tokens=10)

    with process.account.locked() as tally:
        assert tally.total_nano_usd == 30 * TOKEN


def test_an_account_that_is_taken_away_stops_its_run(path: Path) -> None:
    """Deleting the file is no way to a fresh budget for a run under way."""
    process = guard(path, CENT)
    path.unlink()
    SpendAccount.create(path, {})

    with pytest.raises(CouldNotRun, match="was taken away while it was in use"):
        process.admit(Price(nano_usd=1))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", "empty"),
        ("nonsense\n", ":1: it is not a line of an account"),
        ('{"account": 2}\n', ":1: .*it is of format 2"),
        ('{"account": 1}\n{"reserved": "a", "nano_usd": -5}\n', ":2: .*-5 is no amount"),
        ('{"account": 1}\n{"settled": "a", "nano_usd": 5}\n', ":2: .*was not reserved"),
        ('{"reserved": "a", "nano_usd": 5}\n', ":1: it is not a line"),
    ],
)
def test_a_file_that_is_no_account_is_named_with_its_line(tmp_path: Path, lines: str, says: str) -> None:
    """Nothing is sent on the word of a file that cannot be understood."""
    file = tmp_path / "account.jsonl"
    file.write_text(lines)

    with pytest.raises(BadFile, match=says):
        guard(file, CENT).admit(Price(nano_usd=1))


def test_there_is_one_beginning_only(path: Path) -> None:
    """A second `create` would forget what was spent."""
    with pytest.raises(BadInput, match="already"):
        SpendAccount.create(path, {})


def test_the_account_of_a_key_tells_nothing_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It lies in the state directory, under digits of a slow hash."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    found = account_path("sk-secret-key")

    assert found == tmp_path / "whocut" / f"account-{fingerprint('sk-secret-key')}.jsonl"
    assert "secret" not in str(found)
    assert fingerprint("sk-secret-key") != fingerprint("sk-other-key")


@pytest.mark.parametrize("written", [0, -1, float("nan"), float("inf"), 1e-12])
def test_a_budget_that_is_none_is_bad_input(written: float) -> None:
    """Zero is refused, as everywhere; the way out is named."""
    with pytest.raises(BadInput, match=r"write an amount"):
        nano_usd(written)


@pytest.mark.parametrize(
    ("amount", "says"), [(5 * CENT, "$0.05"), (210_760_000, "$0.21"), (4_200_000, "$0.0042"), (0, "$0.00")]
)
def test_money_is_written_as_people_write_it(amount: int, says: str) -> None:
    """Cents, and finer where cents would hide it."""
    assert dollars(amount) == says
