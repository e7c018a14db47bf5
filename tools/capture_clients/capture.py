# ruff: noqa: S108, S603, S607, TID251  # a tool run by hand, one client after the other
"""What clients of every language raise, each ending against each client, captured on loopback into ``tests/data``.

Usage: python tools/capture_clients/capture.py [--python OTHER-PYTHON] [CLIENT…]

Each client that is installed is run once against `misbehaving.py`, with timers below a second, and its words are
written to ``tests/data/clients/CLIENT/ENDING.txt``, beside a VERSION. Node's packages are taken from the
registry into a temporary folder; Go, Java, Ruby, PHP, Perl, curl and wget from the system, as OkHttp, Guzzle and
reqwest (Debian: libokhttp-java, php-guzzlehttp-guzzle, librust-reqwest-dev). Another Python
brings other versions of Python's clients (openai 1, grpcio). The whole takes a few minutes at most.

What does not install, and is not captured:

    .NET     no SDK in Debian 12, on PyPI or npm; PyPI's dotnetcore2 is a runtime of 3.1 without a compiler
    Dart     no SDK in Debian 12, on PyPI or npm
    Swift    no SDK in Debian 12, on PyPI or npm

Their words in ``words/clients.yaml`` are from their documentation and source, and say so: ``source: not captured``.
So are those of ``words/languages.yaml``: its toolchains are too large to be fetched for one text each.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OUT = HERE.parent.parent / "tests" / "data" / "clients"
ENDINGS = (
    "hang", "hang-in-body", "close", "reset", "cut-in-body", "reset-in-body", "504",
    "refused", "no-connection", "no-name", "untrusted",
)  # fmt: skip
_CANCELING = frozenset(
    {"go-context", "okhttp-read"}
)  # clients that are also captured as their caller cancels
_JARS = "/usr/share/java/okhttp.jar:/usr/share/java/okio.jar"  # Debian's libokhttp-java
_CRATES = Path("/usr/share/cargo/registry")  # Debian's librust-reqwest-dev and librust-tokio-dev
_PACKAGES = (
    "undici@6", "axios@1", "got@14", "node-fetch@2", "openai@7", "ky@1", "superagent@10", "bun@1", "deno@2",
    "ai", "@ai-sdk/openai", "@aws-sdk/client-bedrock-runtime", "@smithy/node-http-handler",
)  # fmt: skip
_NOT_REACHED = frozenset(
    {("ky", "hang-in-body"), ("aws-sdk-js", "hang-in-body"), ("deno", "untrusted"), ("xai-sdk", "untrusted")}
)  # its timer ends before, or is none there
_LONGEST = 12_000  # characters that are kept of one text
_LONGEST_S = 120.0
PYTHON = (
    "httpx", "httpx2", "requests", "urllib", "aiohttp", "asyncio", "openai-python", "grpc", "botocore",
    "anthropic-python", "google-genai", "fal-client", "replicate", "openrouter", "xai-sdk",
)  # fmt: skip
NODE = (
    "fetch", "abort-signal", "abort-controller", "axios", "got", "node-fetch", "openai-node", "node-http", "ky",
    "superagent", "ai-sdk", "aws-sdk-js",
)  # fmt: skip
_RUNTIMES = {"bun": ("bun",), "deno": ("deno", "run", "-A")}  # other runtimes of JavaScript, from npm


def commands(folder: Path, python: str) -> dict[str, list[str]]:
    """How each client is started; the addresses and endings follow."""
    found: dict[str, list[str]] = {name: [python, str(HERE / "client.py"), name] for name in PYTHON}
    found |= {name: ["node", str(HERE / "client.mjs"), name] for name in NODE}
    found |= {
        name: [str(folder / "node_modules" / ".bin" / program), *options, str(HERE / "client.mjs"), name]
        for name, (program, *options) in _RUNTIMES.items()
    }
    found |= {f"go-{knob}": [str(folder / "client"), knob] for knob in ("client", "header", "context")}
    found |= {f"java-{one}": ["java", str(HERE / "Client.java"), one] for one in ("http", "urlconnection")}
    found |= {
        "ruby": ["ruby", str(HERE / "client.rb"), "net-http"],
        "faraday": ["ruby", str(HERE / "client.rb"), "faraday"],
    }
    found |= {f"php-{one}": ["php", str(HERE / "client.php"), one] for one in ("curl", "streams")}
    found["guzzle"] = ["php", str(HERE / "client.php"), "guzzle"]
    found |= {
        f"okhttp-{knob}": ["java", "-cp", _JARS, str(HERE / "OkHttp.java"), knob] for knob in ("read", "call")
    }
    found |= {
        name: [str(folder / "reqwest" / "target" / "debug" / "client"), form]
        for name, form in (("reqwest", "chain"), ("reqwest-debug", "debug"))
    }
    return found


def main() -> None:
    """Capture the clients that were named, or all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ports = folder / "ports"
        server = subprocess.Popen([sys.executable, str(HERE / "misbehaving.py"), str(ports)])
        try:
            while not ports.exists() or not ports.read_text(encoding="utf-8").strip():
                time.sleep(0.05)  # a tool run by hand
            addresses = [f"http://127.0.0.1:{port}" for port in ports.read_text(encoding="utf-8").split()]
            *addresses, untrusted = addresses
            os.environ["UNTRUSTED"] = untrusted.replace("http://", "https://") + "/x"
            wanted, python = sys.argv[1:], sys.executable
            if wanted[:1] == ["--python"]:
                python, wanted = wanted[1], wanted[2:]
            _prepare(folder, wanted)
            for client, command in commands(folder, python).items():
                if not wanted or client in wanted:
                    _capture(
                        client,
                        [*command, *addresses, *ENDINGS, *(["canceled"] if client in _CANCELING else [])],
                        folder,
                    )
            for client in ("curl", "wget", "lwp"):
                if not wanted or client in wanted:
                    _by_command(client, addresses)
        finally:
            server.terminate()
            server.wait()


def _prepare(folder: Path, wanted: list[str]) -> None:
    if (not wanted or set(wanted) & {*NODE, *_RUNTIMES}) and shutil.which("npm"):
        (folder / "package.json").write_text("{}", encoding="utf-8")
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", *_PACKAGES], cwd=folder, check=False
        )
    if (not wanted or any(one.startswith("go-") for one in wanted)) and shutil.which("go"):
        subprocess.run(["go", "build", "-o", str(folder / "client"), str(HERE / "client.go")], check=False)

    if (
        (not wanted or set(wanted) & {"reqwest", "reqwest-debug"})
        and shutil.which("cargo")
        and _CRATES.exists()
    ):
        _build_reqwest(folder / "reqwest")


def _build_reqwest(folder: Path) -> None:
    """From the crates of the system's packages alone: no registry is asked."""
    (folder / ".cargo").mkdir(parents=True)
    (folder / ".cargo" / "config.toml").write_text(
        f'[source.crates-io]\nreplace-with = "system"\n[source.system]\ndirectory = "{_CRATES}"\n',
        encoding="utf-8",
    )
    (folder / "Cargo.toml").write_text(
        '[package]\nname = "client"\nversion = "0.0.0"\nedition = "2021"\n[[bin]]\nname = "client"\n'
        f'path = "{HERE / "client.rs"}"\n[dependencies]\nreqwest = "*"\n'
        'tokio = { version = "*", features = ["rt", "macros", "time"] }\n[profile.dev]\ndebug = false\n',
        encoding="utf-8",
    )
    version = next((one.name.rpartition("-")[2] for one in _CRATES.glob("reqwest-*")), "unknown")
    subprocess.run(
        ["cargo", "build", "--offline", "--quiet"],
        cwd=folder, env=os.environ | {"REQWEST_VERSION": version}, check=False,
    )  # fmt: skip


def _capture(client: str, command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        sys.stderr.write(f"{client}: {command[0]} is not installed\n")
        return
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        sys.stderr.write(f"{client}: not ended after {_LONGEST_S:g} s\n")
        lines = (error.stdout or b"").decode("utf-8", "replace").splitlines()
    else:
        lines = done.stdout.splitlines()
        if not lines:
            sys.stderr.write(f"{client}: {done.stderr[-300:]}\n")
    for line in lines:
        if line.startswith("{"):
            _write(json.loads(line))


def _by_command(client: str, addresses: list[str]) -> None:
    """The clients of the command line: one process a request."""
    base, refused, full = addresses
    program = {"lwp": "POST"}.get(client, client)
    if shutil.which(program) is None:
        sys.stderr.write(f"{client}: {program} is not installed\n")
        return
    shown = subprocess.run(
        [program, "--version" if client != "lwp" else "-v"], capture_output=True, text=True, check=False
    )
    version = (shown.stdout or shown.stderr).strip().splitlines()[0][:60]
    for ending in ENDINGS:
        url = {
            "refused": f"{refused}/x",
            "no-connection": f"{full}/x",
            "no-name": "http://no-such-host.invalid/x",
            "untrusted": os.environ["UNTRUSTED"],
        }.get(ending, f"{base}/{ending}")
        command = {
            "curl": ["curl", "-sS", "-f", "--max-time", "0.8", "--connect-timeout", "0.4", "-d", "{}", url],
            "wget": ["wget", "-O", "-", "--tries=1", "--timeout=1", "--post-data={}", url],
            "lwp": ["POST", "-t", "1", "-E", url],
        }[client]
        done = subprocess.run(command, input="{}", capture_output=True, text=True, timeout=30, check=False)
        _write(
            {
                "client": client,
                "version": version,
                "ending": ending,
                "text": done.stderr + (done.stdout if client == "lwp" else ""),
            }
        )


def _write(row: dict[str, Any]) -> None:
    if not row["text"].strip() or (row["client"], row["ending"]) in _NOT_REACHED:
        return
    folder = OUT / row["client"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "VERSION").write_text(row["version"] + "\n", encoding="utf-8")
    (folder / f"{row['ending']}.txt").write_text(_plain(row["text"]), encoding="utf-8")


def _plain(text: str) -> str:
    """The text without this machine's folders."""
    for place in (str(HERE.parent.parent), sys.prefix, str(Path.home())):
        text = text.replace(place, "/srv/app")
    text = re.sub(r"/tmp/[\w./-]*?tmp\w+|/tmp/\w+/venv", "/srv/app", text)
    text = re.sub(r"/tmp/[\w./-]*?(?=/lib/python3)", "/srv/app/.venv", text)
    text = re.sub(
        r"127\.0\.0\.1:\d+|port \d+|localhost:\d+", lambda match: re.sub(r"\d+$", "8080", match[0]), text
    )
    return text.rstrip()[:_LONGEST] + "\n"


if __name__ == "__main__":
    main()
