"""The hop beside nginx, HAProxy and (where installed) mitmproxy, in one run, as ratios.

    python -m tests.benchmarks.bench_hop [--seconds 4] [--rounds 3] [--held 5000] [--before FOLDER]
                                                                          needs: wrk nginx haproxy

Everything stands on 127.0.0.1: one upstream (nginx, 2 KB and 2 MB), one process for each peer, one for the
hops; wrk asks. CPU is user and system time of the peer's process from /proc, divided by the requests that it
passed: the figure to trust on a shared machine, where rates come and go with the neighbours. `--before` names a
checkout of earlier code, whose hops are measured between those of this one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.path.fakes import layer
from whocut.chain.catalogue import preset
from whocut.chain.layers import Topology
from whocut.clock import Clock, run_real
from whocut.clock.clock import pause
from whocut.path import start_chain
from whocut.trace.rundir import RunDir, SpanWriter

CHAINED = 4


CHILDREN: list[subprocess.Popen[bytes]] = []
CLEANUP: list[str] = []


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Peer:
    """A process that forwards: at `one` through one hop, at `four` through four, at `held` to who holds."""

    name: str
    one: int
    four: int
    held: int
    process: subprocess.Popen[bytes]

    def cpu_s(self) -> float:
        """User and system seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_kb(self) -> int:
        """Resident kilobytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return int(found[1]) if found else 0


def started(command: list[str], port: int, folder: Path | None = None) -> subprocess.Popen[bytes]:
    """A child that listens on `port`."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=folder)
    CHILDREN.append(process)
    for _ in range(500):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return process
        if process.poll() is not None:
            break
        pause(0.02)
    raise SystemExit(f"{command[0]} did not start")


def nginx(folder: Path, servers: str, port: int) -> subprocess.Popen[bytes]:
    """One nginx process with these servers."""
    conf = folder / f"nginx-{port}.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    temp = "".join(
        f"{kind}_temp_path {folder}/{port}-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf.write_text(
        f"daemon off;\nmaster_process off;\n{user}pid {folder}/{port}.pid;\nerror_log stderr crit;\n"
        "events { worker_connections 19000; }\nhttp {\naccess_log off;\nkeepalive_requests 1000000000;\n"
        f"{temp}{servers}}}\n"
    )
    return started(["nginx", "-p", str(folder), "-e", "stderr", "-c", str(conf)], port)


def nginx_peer(folder: Path, upstream: int, held: int) -> Peer:
    """The emulated product itself."""
    ports = [free_port() for _ in range(CHAINED + 1)]
    servers = ""
    for index, port in enumerate(ports):
        to = held if index == CHAINED else upstream if index == 0 else ports[index - 1]
        servers += (
            f"upstream u{index} {{ server 127.0.0.1:{to}; keepalive 64; keepalive_requests 1000000000; }}\n"
            f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://u{index};"
            ' proxy_http_version 1.1; proxy_set_header Connection ""; } }\n'
        )
    return Peer("nginx", ports[0], ports[CHAINED - 1], ports[CHAINED], nginx(folder, servers, ports[-1]))


def haproxy_peer(folder: Path, upstream: int, held: int) -> Peer:
    """The other one, with one thread."""
    ports = [free_port() for _ in range(CHAINED + 1)]
    lines = (
        "global\n nbthread 1\n maxconn 9000\ndefaults\n mode http\n option http-no-delay\n"
        " timeout connect 60s\n timeout client 60s\n timeout server 60s\n"
    )
    for index, port in enumerate(ports):
        to = held if index == CHAINED else upstream if index == 0 else ports[index - 1]
        lines += f"listen l{index}\n bind 127.0.0.1:{port} backlog 4096\n server s 127.0.0.1:{to}\n"
    conf = folder / "haproxy.cfg"
    conf.write_text(lines)
    process = started(["haproxy", "-db", "-q", "-f", str(conf)], ports[-1])
    return Peer("haproxy", ports[0], ports[CHAINED - 1], ports[CHAINED], process)


def mitm_peer(upstream: int, held: int) -> Peer | None:
    """Mitmproxy as a reverse proxy; one hop only, or it would need four processes."""
    if shutil.which("mitmdump") is None:
        return None
    one, to_held = free_port(), free_port()
    command = ["mitmdump", "-q", "--set", "flow_detail=0", "--set", "connection_strategy=lazy"]
    command += ["--mode", f"reverse:http://127.0.0.1:{upstream}@127.0.0.1:{one}"]
    command += ["--mode", f"reverse:http://127.0.0.1:{held}@127.0.0.1:{to_held}"]
    return Peer("mitmproxy", one, 0, to_held, started(command, one))


def hop_peer(upstream: int, held: int, *flags: str, folder: Path | None = None) -> Peer:
    """Ours: four nginx presets in one process, and a fifth to the upstream that holds; `folder`: a checkout."""
    ports = [free_port() for _ in range(3)]
    command = [sys.executable, "-m", "tests.benchmarks.bench_hop", "--serve"]
    command += [str(port) for port in (upstream, held, *ports)]
    name = ("before" if folder else "hop") + "".join(f" {flag.strip('-')}" for flag in flags)
    one, four, to_held = ports
    return Peer(name, one, four, to_held, started([*command, *flags], to_held, folder))


async def serve(upstream: int, held: int, ports: list[int], *, recorded: bool) -> None:
    """The hops' process."""
    clock = Clock()
    sink = None
    if recorded:  # as a run records: encoded, and in a file
        folder = tempfile.mkdtemp(prefix="whocut-bench-spans-")
        CLEANUP.append(folder)
        sink = SpanWriter(RunDir.create(Path(folder) / "run", {"epoch_unix_s": clock.unix_s(0.0)}))
    for port, to, count in zip(ports, (upstream, upstream, held), (1, CHAINED, 1), strict=True):
        hops = (preset("nginx"),) * count
        chain = Topology(name="bench", client=layer("client"), hops=hops)
        await start_chain(chain, upstream=("127.0.0.1", to), clock=clock, sink=sink, port=port)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    for folder in CLEANUP:
        shutil.rmtree(folder, ignore_errors=True)


async def hold(port: int) -> None:
    """The upstream that answers nobody."""

    class Held(asyncio.Protocol):
        """Takes a request and keeps it."""

    server = await asyncio.get_running_loop().create_server(Held, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


@dataclass
class Run:
    """What one run of wrk says."""

    requests: int
    per_s: float
    p50_us: float
    mb_per_s: float


def wrk(port: int, path: str, connections: int, seconds: int) -> Run:
    """Ask for a while."""
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}",
        "--latency",
        f"http://127.0.0.1:{port}{path}",
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests = re.search(r"(\d+) requests in", out)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    p50 = re.search(r"50%\s+([\d.]+)(us|ms|s)", out)
    moved = re.search(r"Transfer/sec:\s+([\d.]+)(KB|MB|GB|B)", out)
    if not (requests and rate and p50 and moved) or re.search(r"Non-2xx|Socket errors", out):
        raise SystemExit(f"wrk met errors:\n{out}")
    return Run(
        int(requests[1]),
        float(rate[1]),
        float(p50[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[p50[2]],
        float(moved[1]) * {"B": 1e-6, "KB": 1e-3, "MB": 1, "GB": 1e3}[moved[2]],
    )


async def held_kb(peer: Peer, count: int) -> float:
    """Resident kilobytes a request that waits: a POST of 2 KB, so many at once."""
    body = b"x" * 2000
    message = b"POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n" + body
    before = peer.rss_kb()
    writers = []
    for start in range(0, count, 250):
        opened = await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", peer.held) for _ in range(min(250, count - start)))
        )
        for _, writer in opened:
            writer.write(message)
            writers.append(writer)
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    after = peer.rss_kb()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0.5)
    return (after - before) / count


@dataclass
class Figures:
    """One peer's figures, medians of the rounds."""

    cpu_us: float
    cpu_four_us: float
    per_s: float
    per_s_four: float
    added_us: float
    added_four_us: float
    large_cpu_us: float
    large_mb_per_s: float
    held_kb: float


def round_of(peer: Peer, direct: int, seconds: int) -> list[float]:
    """Ask one peer for everything once: CPU, rate and added time through one hop and four, then large bodies."""
    row: list[float] = []
    for port, hops in ((peer.one, 1), (peer.four, CHAINED)):
        if not port:
            row += [float("nan")] * 3
            continue
        before = peer.cpu_s()
        run = wrk(port, "/", 32, seconds)
        row += [(peer.cpu_s() - before) / run.requests / hops * 1e6, run.per_s]
        row.append(wrk(port, "/", 1, 1).p50_us - wrk(direct, "/", 1, 1).p50_us)
    before = peer.cpu_s()
    run = wrk(peer.one, "/large", 8, seconds)
    return [*row, (peer.cpu_s() - before) / run.requests * 1e6, run.mb_per_s]


def figures(rows: list[list[float]], kb: float) -> Figures:
    """The medians of the rounds, and the memory."""
    cpu, rate, added, cpu4, rate4, added4, large_cpu, large_rate = (
        median(column) for column in zip(*rows, strict=True)
    )
    return Figures(cpu, cpu4, rate, rate4, added, added4, large_cpu, large_rate, kb)


def table(measured: dict[str, Figures]) -> str:
    """One line a figure, each with its ratio to nginx."""
    lines = [f"{'':34}" + "".join(f"{name:>22}" for name in measured)]
    for field, says in {
        "cpu_us": "CPU a request, one hop (us)",
        "cpu_four_us": "CPU a request and hop, four (us)",
        "per_s": "requests/s, 32 callers, one hop",
        "per_s_four": "requests/s, 32 callers, four",
        "added_us": "added p50, one hop (us)",
        "added_four_us": "added p50, four hops (us)",
        "large_cpu_us": "CPU a 2 MB body (us)",
        "large_mb_per_s": "2 MB bodies (MB/s)",
        "held_kb": "memory a held request (KB)",
    }.items():
        base = getattr(measured["nginx"], field)
        line = f"{says:34}"
        for of in measured.values():
            value = getattr(of, field)
            line += f"{value:>13,.1f} ({value / base:4.2f}x)"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Start everything, measure, end everything."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--held", type=int, default=5000)
    parser.add_argument("--before", type=Path, metavar="FOLDER")
    parser.add_argument("--serve", nargs=5, type=int)
    parser.add_argument("--recorded", action="store_true")
    parser.add_argument("--hold", type=int)
    asked = parser.parse_args()
    if asked.serve:
        upstream, held, *ports = asked.serve
        run_real(serve(upstream, held, ports, recorded=asked.recorded))
        return
    if asked.hold:
        asyncio.run(hold(asked.hold))
        return
    for program in ("wrk", "nginx", "haproxy"):
        if shutil.which(program) is None:
            raise SystemExit(
                f"{program} is not installed; on Debian: sudo apt-get install wrk nginx-light haproxy"
            )
    with tempfile.TemporaryDirectory(prefix="whocut-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)

        def end() -> None:
            for child in CHILDREN:
                child.send_signal(signal.SIGTERM)
            for child in CHILDREN:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(5)
                child.kill()

        stack.callback(end)
        (folder / "large").write_bytes(os.urandom(2_000_000))
        direct, held = free_port(), free_port()
        small = f'location = / {{ return 200 "{"x" * 2000}"; }} location / {{ root {folder}; }}'
        server = f"server {{ listen 127.0.0.1:{direct} backlog=4096; {small} }}\n"
        nginx(folder, server, direct)
        started([sys.executable, "-m", "tests.benchmarks.bench_hop", "--hold", str(held)], held)
        made = [nginx_peer(folder, direct, held), haproxy_peer(folder, direct, held)]
        for checkout in (None, asked.before)[: 1 if asked.before is None else 2]:
            made += [
                hop_peer(direct, held, folder=checkout),
                hop_peer(direct, held, "--recorded", folder=checkout),
            ]
        mitm = mitm_peer(direct, held)
        made += [mitm] if mitm else []
        rows: dict[str, list[list[float]]] = {peer.name: [] for peer in made}
        for number in range(asked.rounds):  # in turn: a ratio must not drift with the machine's speed
            for peer in made:
                rows[peer.name].append(round_of(peer, direct, asked.seconds))
            print(f"round {number + 1} measured", file=sys.stderr)  # progress
        measured = {
            peer.name: figures(rows[peer.name], asyncio.run(held_kb(peer, asked.held))) for peer in made
        }
        print(table(measured))  # a benchmark prints


if __name__ == "__main__":
    main()
