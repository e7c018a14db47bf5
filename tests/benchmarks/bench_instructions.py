"""What a request costs a hop in instructions of the interpreter: ``python -m tests.benchmarks.bench_instructions``.

Usage: python -m tests.benchmarks.bench_instructions [--before FOLDER]

No neighbour of a shared machine disturbs the count: it says what the code does, and not how long the kernel takes.
256 requests pass one hop, the preset `nginx`, one after the other on one connection, with and without spans.
`--before` names another checkout, whose packages are found as they were then.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).parents[2]
WARM, COUNTED = 100, 256
OURS = ("/path/", "/clock/", "/trace/")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:1234\r\n\r\n"


class Count:
    """Instructions and calls, by function."""

    def __init__(self) -> None:
        self.instructions: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def begin(self, frame: FrameType, _event: str, _argument: object) -> Any:
        """A function is called: `sys.settrace` wants to know whether to look into it."""
        if not any(room in frame.f_code.co_filename for room in OURS):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.calls[frame.f_code.co_qualname] += 1
        return self.step

    def step(self, frame: FrameType, event: str, _argument: object) -> Any:
        """One instruction of it."""
        if event == "opcode":
            self.instructions[frame.f_code.co_qualname] += 1
        return self.step


class Upstream(asyncio.Protocol):
    """Answers whatever comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A hop has come."""
        self.transport = transport

    def data_received(self, _: bytes) -> None:
        """It has asked."""
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.write(ANSWER)


async def count(package: str, records: Path | None) -> Count:
    """What the requests cost; `package` is what the checkout's own package is called, and spans go to `records`."""

    def name_of(module: str, name: str) -> Any:
        return getattr(importlib.import_module(f"{package}.{module}"), name)

    counted = Count()
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()[:2]
    clock = name_of("clock", "Clock")()
    sink = None
    if records is not None:  # as a run records: encoded, and in a file
        run_dir = name_of("trace.rundir", "RunDir").create(records, {"epoch_unix_s": clock.unix_s(0.0)})
        sink = name_of("trace.rundir", "SpanWriter")(run_dir)
    layer = importlib.import_module("tests.path.fakes").layer
    hops = (name_of("chain.catalogue", "preset")("nginx"),)
    chain = name_of("chain.layers", "Topology")(name="bench", client=layer("client"), hops=hops)
    started = await name_of("path", "start_chain")(chain, upstream=address, clock=clock, sink=sink, port=0)
    reader, writer = await asyncio.open_connection("127.0.0.1", started.port)
    for number in range(WARM + COUNTED):
        if number == WARM:
            sys.settrace(counted.begin)
        writer.write(REQUEST)
        await reader.readexactly(len(ANSWER))
    sys.settrace(None)
    writer.close()
    await started.close()
    server.close()
    return counted


def main() -> None:
    """Count in a process of its own for each checkout and way."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--before", type=Path, metavar="FOLDER")
    parser.add_argument("--count", nargs=2, metavar=("PACKAGE", "WAY"))
    parser.add_argument("--functions", type=int, default=0, help="so many of the dearest functions, too")
    asked = parser.parse_args()
    if asked.count:
        package, way = asked.count
        with tempfile.TemporaryDirectory(prefix="whocut-bench-") as folder:
            counted = asyncio.run(count(package, Path(folder, "run") if way == "recorded" else None))
        total, calls = (sum(of.values()) / COUNTED for of in (counted.instructions, counted.calls))
        sys.stdout.write(f"{total:,.0f} instructions, {calls:,.1f} calls a request\n")
        for name, number in counted.instructions.most_common(asked.functions):
            sys.stdout.write(f"  {number / COUNTED:7.1f}  {name}\n")
        return
    for folder in [ROOT, *([asked.before] if asked.before else [])]:
        package = "whocut" if (folder / "harness" / "whocut").is_dir() else "harness"
        paths = [str(folder), *(str(folder / root) for root in ("harness", "mock_upstream"))]
        for way in ("plain", "recorded"):
            command = [sys.executable, __file__, "--count", package, way, "--functions", str(asked.functions)]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
            done = subprocess.run(
                command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
            sys.stdout.write(f"{'here' if folder == ROOT else 'before':7}{way:9} {done.stdout}")


if __name__ == "__main__":
    main()
