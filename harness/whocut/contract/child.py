"""What asks a sync client for images: here, in a thread, or in a child process forked for it alone.

Run as a program, this file imports the client once and forks a process for each order that comes on its standard
input: a line of JSON. It answers with the number of the process. What came of the asks is in the file that the
order names, written whole or not at all.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# What a client may return in place of an image; a judge looks for them by value.
EMPTY: Final[tuple[Any, ...]] = (None, "", [], (), {})


def asked(client: Any, asks: Sequence[dict[str, Any]]) -> tuple[list[Any], list[threading.Thread]]:
    """Ask for each image in a thread of its own; the results fill up as they come, None until then."""
    results: list[Any] = [None] * len(asks)

    def ask(number: int) -> None:
        wanted = asks[number]
        try:
            answer = client.images.generate(**wanted)
            results[number] = list(answer) if wanted.get("stream") else answer
        except Exception as error:  # noqa: BLE001  # whatever a client raises is its answer
            results[number] = error

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(len(asks))]
    for thread in threads:
        thread.start()
    return results, threads


def parts_of(client: object, results: Sequence[Any]) -> tuple[str, ...]:
    """The texts beside a log that could hold a key."""
    errors = [result for result in results if isinstance(result, BaseException)]
    told = [f"{error!r} {error} {getattr(error, '__notes__', '')} {error.__cause__!r}" for error in errors]
    return (repr(client), str(client), *told)


@contextlib.contextmanager
def listening() -> Iterator[io.StringIO]:
    """Everything that is logged or printed meanwhile, at every level."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
            yield heard
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


def heard(result: dict[str, Any]) -> Any:
    """A result as one process sends it to the other, made into what a judge looks at."""
    if "raised" in result:
        return type(str(result["raised"]), (Exception,), {})(result["text"])
    return next((empty for empty in EMPTY if repr(empty) == result["returned"]), result["returned"])


def _told(result: Any) -> dict[str, Any]:
    if isinstance(result, BaseException):
        return {"raised": type(result).__name__, "text": str(result)}
    empty = any(type(result) is type(one) and result == one for one in EMPTY)
    return {"returned": repr(result) if empty else "something"}


# --- the program ----------------------------------------------------------------------------------


def main() -> None:
    """Import the client that the first line names, then serve orders until the input ends."""
    told = json.loads(sys.stdin.readline())
    sys.path[:] = told["path"]
    module, _, name = told["client"].partition(":")
    make: Any = importlib.import_module(module)
    for part in name.split("."):
        make = getattr(make, part)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system takes them away
    print("ready", flush=True)  # noqa: T201  # this is how it is heard
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            _serve(make, json.loads(line))
        print(process, flush=True)  # noqa: T201  # as above


def _serve(make: Callable[..., Any], order: dict[str, Any]) -> None:
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        random.seed(order["check"])  # one client, one verdict
        os.environ["WHOCUT_CHECK"] = order["check"]
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(nowhere, standard)
        from whocut.stage.pace import use_in_this_process  # noqa: PLC0415  # only a forked process needs it

        use_in_this_process(order["library"], order["page"])
        with listening() if order["listen"] else contextlib.nullcontext(io.StringIO()) as log:
            client = make(base_url=order["base_url"], api_key=order["api_key"])
            results, threads = asked(client, order["asks"])
            for thread in threads:
                thread.join()
            close = getattr(client, "close", None)
            with contextlib.suppress(Exception):  # nothing more is asked of it
                if callable(close):
                    close()
        answer = {
            "results": [_told(result) for result in results],
            "parts": parts_of(client, results),
            "log": log.getvalue(),
        }
        whole = Path(order["answer"])
        part = whole.with_suffix(".part")
        part.write_text(json.dumps(answer))
        part.rename(whole)
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
