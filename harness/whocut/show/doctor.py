"""What is on this machine: versions, extras, gateways, ports, clock; lines to paste into an issue.

No machine name, no path, no user and no secret is among them: they are to be pasted where everyone reads.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import socket
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from whocut.clock.clock import pause, wall_s
from whocut.errors import EXTRA_OF
from whocut.path.gateways import GATEWAYS
from whocut.path.gateways.process import found
from whocut.words import rounded_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGES: Final = (
    "openai",
    "aiohttp",
    "opentelemetry-sdk",
    "pydantic",
    "typer",
    "locust",
    "uvloop",
    "matplotlib",
)
# How each product says its version; what is not here says it by `--version`.
_ASKS: Final = {
    "nginx": "-v",
    "apache": "-v",
    "varnish": "-V",
    "haproxy": "-v",
    "caddy": "version",
    "traefik": "version",
}
_PORTS: Final = {8089: "Locust's page", 4318: "OTLP", 8080: "the chain, by habit"}
_VERSION: Final = re.compile(r"\d+\.\d+(?:\.\d+)*")
_TRIES, _PAUSE_S, _LATE_S = 20, 0.01, 0.02
_FEW_FILES: Final = 4096


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: of what part, its name, what was found, and the way out where something is amiss."""

    part: str
    name: str
    says: str
    ok: bool = True
    do: str = ""


def examine() -> tuple[Fact, ...]:
    """Everything, in the order in which it is read."""
    return (*_versions(), *_extras(), *_gateways(), *_ports(), *_clock(), *_limits())


def _versions() -> Iterator[Fact]:
    yield Fact("versions", "whocut", version("whocut"))
    yield Fact("versions", "python", f"{platform.python_implementation()} {platform.python_version()}")
    yield Fact("versions", "system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors")
    for name in _PACKAGES:
        try:
            yield Fact("versions", name, version(name))
        except PackageNotFoundError:
            continue


def _extras() -> Iterator[Fact]:
    packages: dict[str, list[str]] = {}
    for package, extra in EXTRA_OF.items():
        packages.setdefault(extra, []).append(package)
    for extra, needs in packages.items():
        missing = [name for name in needs if not _installed(name)]
        said = f"missing {', '.join(missing)}" if missing else "installed"
        yield Fact("extras", extra, said, not missing, f"pip install 'whocut[{extra}]'" if missing else "")


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _gateways() -> Iterator[Fact]:
    for name, gateway in GATEWAYS.items():
        program = found(gateway)
        if program is None:
            yield Fact("gateways", name, "missing", ok=False, do=gateway.install)
        else:
            yield Fact("gateways", name, _version_of(program, _ASKS.get(name, "--version")))


def _version_of(program: str, asks: str) -> str:
    """The number alone: a program's own words may name the machine it was built on."""
    try:
        done = subprocess.run(  # noqa: S603  # one of our drivers' programs, without a shell
            [program, asks], capture_output=True, text=True, errors="replace", timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "installed; it does not say its version"
    number = _VERSION.search(done.stdout + done.stderr)
    return number.group() if number else "installed; it does not say its version"


def _ports() -> Iterator[Fact]:
    try:
        with socket.create_server(("127.0.0.1", 0)):
            yield Fact("ports", "loopback", "a free port can be listened on")
    except OSError as error:
        says = f"no port can be listened on: {error.strerror}"
        yield Fact("ports", "loopback", says, ok=False, do="allow programs to listen on 127.0.0.1")
    for port, used_by in _PORTS.items():
        with socket.socket() as probe:
            probe.settimeout(1)
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        yield Fact("ports", str(port), f"{'taken' if taken else 'free'} ({used_by})")


def _clock() -> Iterator[Fact]:
    """How late a short wait ends: a busy machine makes a scaled run invalid."""
    worst_s = 0.0
    for _ in range(_TRIES):
        began_s = wall_s()
        pause(_PAUSE_S)
        worst_s = max(worst_s, wall_s() - began_s - _PAUSE_S)
    late = worst_s > _LATE_S
    do = "stop what else runs here, or choose a smaller scale like --clock scaled:20" if late else ""
    says = f"a wait of {_PAUSE_S * 1000:.0f} ms ended at most {rounded_duration(max(worst_s, 0.0), 4)} late"
    yield Fact("clock", "waits", says, not late, do)


def _limits() -> Iterator[Fact]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 0 <= soft < _FEW_FILES
    says = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft:,}"
    yield Fact("limits", "open files", says, not few, f"ulimit -n {_FEW_FILES}" if few else "")


def lines(facts: tuple[Fact, ...]) -> Iterator[str]:
    """The lines to paste."""
    part = ""
    for fact in facts:
        if fact.part != part:
            part = fact.part
            yield f"{part}:"
        way_out = f"  → {fact.do}" if fact.do else ""
        yield f"  {fact.name}: {fact.says}{way_out}"


def as_json(facts: tuple[Fact, ...]) -> dict[str, Any]:
    """The same for machines."""
    return {"facts": [asdict(fact) for fact in facts]}
