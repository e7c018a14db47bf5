"""What every driver of a real gateway is held to; a new driver passes by its file alone."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.path.fakes import (
    BODY,
    CHUNKED_HEAD,
    FIN,
    Caller,
    FakeUpstream,
    Part,
    call,
    image,
    image_request,
    send,
    wait,
)
from tests.path.gateways import marks_of, needed
from whocut.chain.catalogue import overridden, preset
from whocut.chain.products import product, products
from whocut.chain.timers import TimerKind
from whocut.clock import Clock, run_real
from whocut.errors import BadInput, ChildDied, NotInstalled
from whocut.path.gateways import GATEWAYS, start_gateway
from whocut.path.gateways.process import start
from whocut.trace.logs.formats import formats

if TYPE_CHECKING:
    from collections.abc import Callable

    from whocut.chain.layers import Layer
    from whocut.path.gateways.driver import Gateway
    from whocut.path.gateways.process import RunningGateway
    from whocut.trace.logs.records import Account

pytestmark = [pytest.mark.gateway, pytest.mark.sockets]

SHORT_S, LONG_S = 1.0, 60.0  # whole seconds: Apache counts no others
PATIENCE_S = 20.0
AT_ONCE = 200
ALL = sorted(GATEWAYS)
EACH = [pytest.param(name, marks=marks_of(name)) for name in ALL]
LOGS_AT_THE_END = {name for name, driver in GATEWAYS.items() if "writes_log" in vars(type(driver))}
WAITS = {TimerKind.FIRST_BYTE, TimerKind.IDLE, TimerKind.TOTAL}


def limited(name: str, *short: TimerKind) -> Layer:
    """The product with a short limit for these timers and what shares a knob with them; else with long ones."""
    knobs = product(name).knobs
    turned = {knobs[kind] for kind in short}
    limits: dict[TimerKind, float | None] = dict.fromkeys(TimerKind)
    limits |= {
        kind: SHORT_S if knob in turned else LONG_S
        for kind, knob in knobs.items()
        if knob in turned or kind is not TimerKind.TOTAL
    }
    return overridden(preset(name), limits, "this test")


async def until(happened: Callable[[], object]) -> bool:
    """Wait for what tells no event, and say whether it came."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not happened():  # noqa: ASYNC110  # a peer's socket tells no event
                await asyncio.sleep(0.005)
            return True
    return False


async def standing(name: str, upstream: FakeUpstream, layer: Layer | None = None) -> RunningGateway:
    """The gateway before this upstream."""
    return await start_gateway(name, layer or limited(name), upstream=upstream.address, clock=Clock())


@pytest.mark.parametrize("name", ALL)
def test_a_driver_has_the_name_of_a_preset_and_of_a_log_format(name: str) -> None:
    """The three find each other by name alone; a product that logs no requests needs no format."""
    assert name in products()
    assert name in formats() or not GATEWAYS[name].logs_requests


def test_a_preset_that_can_stand_in_person_has_a_driver() -> None:
    """None of them is promised and missing."""
    assert sorted(products()) == ALL


@pytest.mark.parametrize("name", EACH)
def test_an_answer_passes_through_whole_with_its_trace_and_is_logged(name: str, tmp_path: Path) -> None:
    """The caller's `traceparent` reaches the upstream as it came, and the log that stays names its span."""
    needed(name)
    log = tmp_path / "access.log"
    came = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"

    async def main() -> tuple[bytes, bytes]:
        async with FakeUpstream((BODY, send(image()))) as upstream:
            gateway = await start_gateway(
                name, limited(name), upstream=upstream.address, clock=Clock(), logs=tmp_path
            )
            async with gateway:
                caller: Caller = await call(gateway.port, image_request(f"traceparent: {came}\r\n".encode()))
                got = await caller.response()
                if GATEWAYS[name].logs_requests and name not in LOGS_AT_THE_END:
                    assert await until(lambda: accounts(name, log))  # a line is written behind the answer
                caller.transport.abort()
            return got, upstream.connections[0].received

    got, received = run_real(main())

    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"aGVsbG8=" in got
    assert f"traceparent: {came}\r\n".encode() in received.replace(b"Traceparent:", b"traceparent:")
    if GATEWAYS[name].logs_requests:
        (account,) = accounts(name, log)
        assert (account.trace_id, account.parent_id, account.status) == ("a" * 32, "b" * 16, 200)


def accounts(name: str, log: Path) -> list[Account]:
    """What a gateway's log tells of requests until now."""
    if not log.exists():
        return []
    lines = log.read_text(encoding="utf-8").splitlines()
    return [account for line in lines if (account := formats()[name].read(line))]


ENDLESS: dict[TimerKind, tuple[Part, ...]] = {
    TimerKind.FIRST_BYTE: (BODY, wait(LONG_S), FIN),
    TimerKind.IDLE: (BODY, send(CHUNKED_HEAD + b"1\r\nx\r\n"), wait(LONG_S), FIN),
    TimerKind.TOTAL: (BODY, send(CHUNKED_HEAD), *((wait(0.2), send(b"1\r\n:\r\n")) * 100), FIN),
}
# LiteLLM's ends streams of a chat, and it streams no images.
UNSEEN = {("litellm", TimerKind.TOTAL)}
TIMERS = [
    pytest.param(name, kind, marks=marks_of(name))
    for name in ALL
    for kind in product(name).knobs
    if kind in WAITS and (name, kind) not in UNSEEN
]


@pytest.mark.parametrize(("name", "kind"), TIMERS)
def test_a_timer_fires_at_its_limit_and_lets_go_of_the_upstream(name: str, kind: TimerKind) -> None:
    """Not before it, and long before the next one; in the wait it answers with the status that the preset has."""
    needed(name)

    async def main() -> tuple[float, bytes]:
        layer = limited(name, kind)
        async with FakeUpstream(ENDLESS[kind]) as upstream, await standing(name, upstream, layer) as gateway:
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            caller = await call(gateway.port, image_request())
            assert await until(lambda: upstream.connections and upstream.connections[0].ended)
            took_s = loop.time() - began_s
            if kind is TimerKind.FIRST_BYTE:
                return took_s, await caller.response()
            caller.transport.abort()
            return took_s, b""

    took_s, got = run_real(main())

    assert SHORT_S - 0.02 < took_s < LONG_S / 2
    if kind is TimerKind.FIRST_BYTE:
        answers = preset(name).answers
        assert int(got[9:12]) == (answers.get(kind) or answers["expiry"]).status


@pytest.mark.parametrize("name", EACH)
def test_a_caller_that_leaves_is_noticed_where_the_preset_says_so(name: str) -> None:
    """At once, or only when the gateway's own timer fires."""
    needed(name)

    async def main() -> float:
        layer = limited(name, TimerKind.FIRST_BYTE)
        loop = asyncio.get_running_loop()
        async with (
            FakeUpstream((BODY, wait(LONG_S))) as upstream,
            await standing(name, upstream, layer) as gateway,
        ):
            caller = await call(gateway.port, image_request())
            assert await until(lambda: upstream.requests)
            asked_s = loop.time()
            caller.transport.close()
            assert await until(lambda: upstream.connections[0].ended)
            return loop.time() - asked_s

    held_s = run_real(main())

    assert (held_s < SHORT_S / 2) == preset(name).notices_abort


@pytest.mark.parametrize("name", EACH)
def test_two_hundred_at_once_all_come_through(name: str) -> None:
    """None is lost, refused, or asked for twice."""
    needed(name)

    async def main() -> tuple[list[bytes], int]:
        async with (
            FakeUpstream((BODY, wait(0.5), send(image()))) as upstream,
            await standing(name, upstream) as gateway,
        ):
            callers = [await call(gateway.port, image_request()) for _ in range(AT_ONCE)]
            got = [(await caller.response())[:12] for caller in callers]
            for caller in callers:
                caller.transport.abort()
            return got, upstream.requests

    got, requests = run_real(main())

    assert got == [b"HTTP/1.1 200"] * AT_ONCE
    assert requests == AT_ONCE


@pytest.mark.parametrize("name", EACH)
def test_nothing_is_left_of_it(name: str) -> None:
    """Closed, its processes are gone and so is its folder."""
    needed(name)

    async def main() -> tuple[int, bool]:
        gateway = await start_gateway(name, limited(name), upstream=("127.0.0.1", 9), clock=Clock())
        await gateway.close()
        return gateway.pid, gateway.folder.exists()

    pid, folder = run_real(main())

    assert not alive(pid)
    assert not folder


@pytest.mark.parametrize("name", EACH)
def test_its_death_is_told_and_takes_its_workers_along(name: str) -> None:
    """Its main process killed, nothing of it goes on listening, and the instant is written down."""
    needed(name)

    async def main() -> tuple[str, bool]:
        gateway = await start_gateway(name, limited(name), upstream=("127.0.0.1", 9), clock=Clock())
        async with gateway:
            os.kill(gateway.pid, signal.SIGKILL)
            assert await until(lambda: gateway.fallen)
            gone = await until(lambda: not alive(gateway.pid))
            assert gateway.fallen is not None
            return gateway.fallen.why, gone

    why, gone = run_real(main())

    assert "SIGKILL" in why
    assert gone


def alive(group: int) -> bool:
    """Whether a process of this group is left, other than as an entry that waits to be read."""
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        with suppress(OSError):
            told = (process / "stat").read_text(encoding="utf-8", errors="replace")
            state, _, in_group = told.rpartition(")")[2].split()[:3]
            if int(in_group) == group and state != "Z":
                return True
    return False


@pytest.mark.parametrize("name", ALL)
def test_limits_that_a_product_cannot_have_are_refused(name: str) -> None:
    """A timer that it has not, and two limits where it has one knob; nothing is started."""
    of = product(name)
    knobs = list(of.knobs.values())
    absent = next((kind for kind in TimerKind if kind not in of.knobs), None)
    shared = [kind for kind, knob in of.knobs.items() if knobs.count(knob) > 1]

    if absent is not None:
        with pytest.raises(BadInput, match=str(absent)):
            refused(name, overridden(limited(name), {absent: 5.0}, "this test"))
    if shared:
        layer = limited(name)
        timers = {**layer.timers, shared[0]: limited(name, shared[0]).timers[shared[0]]}
        with pytest.raises(BadInput, match="at once"):
            refused(name, type(layer)(name=name, title=layer.title, preset=name, timers=timers))


def refused(name: str, layer: Layer) -> None:
    """Try to start it so."""
    run_real(start_gateway(name, layer, upstream=("127.0.0.1", 9), clock=Clock()))


def test_limits_finer_than_a_product_counts_are_refused_with_the_scale_that_fits() -> None:
    """Apache counts whole seconds: a minute at 1:100 would be one second and no 0.6."""
    layer = overridden(limited("apache"), {TimerKind.IDLE: 60.0}, "this test")

    with pytest.raises(
        BadInput, match=r"apache: Apache httpd counts ProxyTimeout in units of 1 s.*scaled:60"
    ):
        run_real(start_gateway("apache", layer, upstream=("127.0.0.1", 9), clock=Clock(100)))


def test_an_unknown_gateway_is_named_with_the_nearest() -> None:
    """A misspelling is answered with the right spelling."""
    with pytest.raises(BadInput, match="did you mean 'nginx'"):
        refused("ngnix", preset("nginx"))


@pytest.mark.parametrize("name", ALL)
def test_a_gateway_that_is_not_installed_says_how_to(name: str) -> None:
    """The message is one line with the command that installs it."""
    missing: Gateway = type("Missing", (type(GATEWAYS[name]),), {"program": "whocut-no-such-program"})()

    with pytest.raises(NotInstalled) as told:
        run_real(start(missing, limited(name), upstream=("127.0.0.1", 9), clock=Clock()))

    assert GATEWAYS[name].install in str(told.value)
    assert any(
        GATEWAYS[name].install.startswith(by)
        for by in ("sudo apt-get install ", "pip install ", "npm install ")
    )


@pytest.mark.parametrize("name", EACH)
def test_a_gateway_that_ends_at_once_says_why(name: str) -> None:
    """Its last words are in the message."""
    needed(name)

    def files(self: Gateway, layer: Layer, site: object) -> dict[str, str]:
        return dict.fromkeys(type(GATEWAYS[name]).files(self, layer, site), "whocut_nonsense;")  # type: ignore[arg-type]

    broken: Gateway = type("Broken", (type(GATEWAYS[name]),), {"files": files})()

    with pytest.raises(ChildDied, match=r"(?s)ended at once: \S"):
        run_real(start(broken, limited(name), upstream=("127.0.0.1", 9), clock=Clock()))
