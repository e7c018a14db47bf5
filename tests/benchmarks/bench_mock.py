"""The mock beside llmock (PyPI) and @copilotkit/aimock (npm), in one run: ratios, never absolutes.

Usage: python -m tests.benchmarks.bench_mock [--held 5000] [--most 15000] [--requests 4000] [--json]

Measured: answers a second and CPU a request, for a small picture and for one of real size; memory a held
request; how soon a disconnect is noticed. The peers are installed once, under build/bench. All traffic
stays on 127.0.0.1. Each server is started alone, asked, and stopped before the next one; the throughput is the
median of several rounds in turn, because a shared machine's speed drifts.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from whocut_mock import ledger

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "bench"
AIMOCK, LLMOCK = "@copilotkit/aimock@1.43.0", "llmock==0.2.2"
PATH = "/v1/images/generations"
SMALL = {"model": "gpt-image-2", "prompt": "cat", "output_format": "webp", "output_compression": 0}
REAL = {"model": "gpt-image-2", "prompt": "cat"}
SMALL_B64, REAL_B64 = (
    10_900,
    1_582_000,
)  # what ours answers to these two, so that aimock's fixtures are as large
HOLD_S = 15.0
ROUNDS = 5
WARM = 3  # so many times the requests that are measured; a compiler at run time is slow to make up its mind
CALLERS = 32
_LAST_CHUNK = b"\r\n0\r\n\r\n"


def install() -> None:
    """The peers, if they are not there yet."""
    if not (KEPT / "node" / "node_modules").exists():
        flags = ["--no-save", "--no-audit", "--no-fund", "--prefix", str(KEPT / "node")]
        subprocess.run(["npm", "install", *flags, AIMOCK], check=True, capture_output=True)
    if not (KEPT / "llmock" / "bin" / "llmock").exists():
        subprocess.run([sys.executable, "-m", "venv", str(KEPT / "llmock")], check=True)
        subprocess.run([str(KEPT / "llmock" / "bin" / "pip"), "install", "-q", LLMOCK], check=True)


def free_port() -> int:
    """A port nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@dataclass(frozen=True)
class Process:
    """A server's process as Linux shows it: CPU seconds so far, bytes resident now."""

    pid: int

    def cpu_s(self) -> float:
        """User and system time."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Memory it has now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Server:
    """One of the three: how to start it for answers of this size, held so long."""

    name: str
    command: Callable[[int, Path, int, float], Sequence[str]]


def _ours(port: int, place: Path, _: int, hold_s: float) -> Sequence[str]:
    config = place / "mock.yaml"
    config.write_text(json.dumps({"latency": {"constant_s": hold_s or 1e-6}}))
    return [
        sys.executable,
        "-m",
        "whocut_mock",
        "--port",
        str(port),
        "--config",
        str(config),
        "--clock-origin",
        "0",
    ]


def _aimock(port: int, place: Path, b64: int, hold_s: float) -> Sequence[str]:
    fixture = {"match": {"endpoint": "image"}, "response": {"image": {"b64Json": "A" * b64}}}
    (place / "fixture.json").write_text(json.dumps({"fixtures": [fixture]}))
    binary = KEPT / "node" / "node_modules" / ".bin" / "aimock"
    llmock = binary.with_name("llmock") if binary.with_name("llmock").exists() else binary
    flags = ["-p", str(port), "-f", str(place), "--log-level", "silent"]
    return ["node", str(llmock), *flags, *(["--chaos-latency", str(int(hold_s * 1000))] if hold_s else [])]


def _llmock(port: int, _: Path, __: int, hold_s: float) -> Sequence[str]:
    flags = ["serve", "--port", str(port), "--log-level", "error"]
    return [str(KEPT / "llmock" / "bin" / "llmock"), *flags, "--latency-ms", str(int(hold_s * 1000))]


SERVERS = (Server("mock_upstream", _ours), Server("aimock", _aimock), Server("llmock", _llmock))


@contextlib.contextmanager
def running(server: Server, b64: int, hold_s: float) -> Iterator[tuple[int, Process]]:
    """The server, on a port, until the block ends."""
    port = free_port()
    with tempfile.TemporaryDirectory() as place:
        command = server.command(port, Path(place), b64, hold_s)
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
        ) as started:
            try:
                asyncio.run(_listening(port))
                yield port, Process(started.pid)
            finally:
                started.terminate()
                try:
                    started.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    started.kill()


async def _listening(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"nobody listens on {port}")


class Caller(asyncio.Protocol):
    """Asks on one connection, again and again while there is something left to ask."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._begun = False
        self._missing: int | None = None
        self._head = self._tail = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at once."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        if self._load.left <= 0:
            self.transport.close()
            return
        self._load.left -= 1
        self._load.asked += 1
        self._begun, self._missing, self._head, self._tail = False, None, b"", b""
        self.transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        """Find the end of the answer, then ask again."""
        if not self._begun:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._begun = True
            self._load.answered(head)
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            self._missing = int(length) if length else None
            data = body
        if self._missing is None:  # chunked: its end is its end
            self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
            ended = self._tail == _LAST_CHUNK
        else:
            self._missing -= len(data)
            ended = self._missing <= 0
        if ended:
            self._load.done += 1
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the load."""
        self._load.closed(exc)


class Load:
    """So many requests from so many callers."""

    def __init__(self, body: dict[str, Any], requests: int, callers: int) -> None:
        sent = json.dumps(body).encode()
        head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer k\r\n"
        head += "Content-Type: application/json\r\n"
        self.request = f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent
        self.left, self.callers, self.open = requests, callers, callers
        self.asked = self.done = self.bad = 0
        self.over = asyncio.Event()

    def answered(self, head: bytes) -> None:
        """Count an answer that is none."""
        self.bad += b" 200" not in head[:13]

    def closed(self, _: Exception | None) -> None:
        """One caller less."""
        self.open -= 1
        if self.open == 0:
            self.over.set()

    async def start(self, port: int) -> list[asyncio.Transport]:
        """Let every caller connect, a few at a time."""
        loop = asyncio.get_running_loop()
        transports: list[asyncio.Transport] = []
        for start in range(0, self.callers, 100):
            count = min(100, self.callers - start)
            made = await asyncio.gather(
                *(loop.create_connection(lambda: Caller(self), "127.0.0.1", port) for _ in range(count))
            )
            transports += [transport for transport, _ in made]
        return transports


@dataclass(frozen=True)
class Throughput:
    """Answers a second, and CPU of the server for each."""

    per_s: float
    cpu_us: float
    bad: int


def throughput(server: Server, body: dict[str, Any], b64: int, requests: int) -> Throughput:
    """Instant answers, after a warm-up for the peers' compilers."""
    with running(server, b64, 0.0) as (port, process):

        async def measure(count: int) -> Throughput:
            load = Load(body, count, CALLERS)
            loop = asyncio.get_running_loop()
            cpu, begun_s = process.cpu_s(), loop.time()
            await load.start(port)
            await load.over.wait()
            took_s = loop.time() - begun_s
            return Throughput(count / took_s, (process.cpu_s() - cpu) / count * 1e6, load.bad)

        asyncio.run(measure(requests * WARM))
        return asyncio.run(measure(requests))


def in_turn(body: dict[str, Any], b64: int, requests: int) -> dict[str, Throughput]:
    """Every server's throughput, round after round; of each figure the median, of bad answers the sum."""
    rows: dict[str, list[Throughput]] = {server.name: [] for server in SERVERS}
    for _ in range(ROUNDS):
        for server in SERVERS:
            rows[server.name].append(throughput(server, body, b64, requests))
    return {
        name: Throughput(
            statistics.median(row.per_s for row in of),
            statistics.median(row.cpu_us for row in of),
            sum(row.bad for row in of),
        )
        for name, of in rows.items()
    }


@dataclass(frozen=True)
class Held:
    """So many at once: memory for each, and how many were answered."""

    asked: int
    answered: int
    kib_each: float
    late_s: float


def held(server: Server, count: int, hold_s: float) -> Held:
    """Requests held at the same time, all of them, and then answered."""
    with running(server, SMALL_B64, hold_s) as (port, process):

        async def measure() -> Held:
            await _one(port, hold_s=0)
            before = process.resident_bytes()
            loop = asyncio.get_running_loop()
            load = Load(SMALL, count, count)
            transports = await load.start(port)
            all_asked_s = loop.time()
            await asyncio.sleep(1.0)
            during = process.resident_bytes()
            held_now = load.asked - load.done
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(hold_s + 30):
                    await load.over.wait()
            late_s = loop.time() - all_asked_s - hold_s
            for transport in transports:
                transport.abort()
            return Held(held_now, load.done - load.bad, (during - before) / 1024 / max(1, held_now), late_s)

        return asyncio.run(measure())


async def _one(port: int, *, hold_s: float) -> None:
    """A first connection, so that what every server makes once is made."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(hold_s)
    writer.close()


def disconnect_ms(tries: int = 20) -> list[float]:
    """From a caller's close to the mock's note of it, on the clock that both share."""
    with tempfile.TemporaryDirectory() as place:
        books = Path(place) / "ledger.jsonl"
        return _disconnect_ms(
            Server("mock", lambda *asked: [*_ours(*asked), "--ledger", str(books)]), books, tries
        )


def _disconnect_ms(server: Server, books: Path, tries: int) -> list[float]:
    with running(server, SMALL_B64, 5.0) as (port, _):

        async def measure() -> list[float]:
            loop = asyncio.get_running_loop()
            closed_s = []
            for _ in range(tries + 1):  # the first has its picture's shape drawn, and is left out
                load = Load(SMALL, 1, 1)
                [transport] = await load.start(port)
                await asyncio.sleep(0.05)
                closed_s.append(loop.time())
                transport.abort()
                await asyncio.sleep(0.02)
            await asyncio.sleep(5.5)  # a row is written again when its work is over
            gone_s = [row["caller_gone_s"] for row in ledger.read(books)]
            return [(gone - closed) * 1000 for gone, closed in zip(gone_s, closed_s, strict=True)][1:]

        return asyncio.run(measure())


def main() -> None:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--held", type=int, default=5_000)
    parser.add_argument("--most", type=int, default=15_000)
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    if shutil.which("npm") is None:
        raise SystemExit("npm is not installed: apt-get install nodejs npm")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    install()
    found: dict[str, Any] = {}
    small = in_turn(SMALL, SMALL_B64, flags.requests)
    real = in_turn(REAL, REAL_B64, flags.requests // 8)
    for server in SERVERS:
        found[server.name] = {
            "small": asdict(small[server.name]),
            "real": asdict(real[server.name]),
            "held": asdict(held(server, flags.held, HOLD_S)),
        }
    found["mock_upstream"]["most"] = asdict(held(SERVERS[0], flags.most, 2 * HOLD_S))
    gaps_ms = disconnect_ms()
    found["mock_upstream"]["disconnect_ms"] = {"median": statistics.median(gaps_ms), "worst": max(gaps_ms)}
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if flags.json else told(found))


def told(found: dict[str, Any]) -> str:
    """The comparison in words."""
    ours = found["mock_upstream"]
    lines = ["                        small picture      real picture     held", ""]
    for name in (server.name for server in SERVERS):
        one = found[name]
        lines.append(
            f"{name:14}  {one['small']['per_s']:8.0f}/s {one['small']['cpu_us']:5.0f} us"
            f"  {one['real']['per_s']:7.0f}/s {one['real']['cpu_us']:6.0f} us"
            f"  {one['held']['answered']}/{one['held']['asked']} at {one['held']['kib_each']:.1f} KiB"
        )
    for peer in ("aimock", "llmock"):
        ratios = [ours[kind]["per_s"] / found[peer][kind]["per_s"] for kind in ("small", "real")]
        cpu = [ours[kind]["cpu_us"] / found[peer][kind]["cpu_us"] for kind in ("small", "real")]
        memory = ours["held"]["kib_each"] / max(0.1, found[peer]["held"]["kib_each"])
        lines.append(
            f"against {peer}: {ratios[0]:.2f} x, {ratios[1]:.2f} x the answers a second;"
            f" {cpu[0]:.2f} x, {cpu[1]:.2f} x the CPU each; {memory:.2f} x the memory"
        )
    lines.append("(llmock answers with a link in place of a picture, so its real one is small too)")
    most, gap = ours["most"], ours["disconnect_ms"]
    lines.append(f"{most['answered']}/{most['asked']} held at once at {most['kib_each']:.1f} KiB each")
    lines.append(f"a disconnect is noticed after {gap['median']:.2f} ms (worst {gap['worst']:.2f} ms)")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
