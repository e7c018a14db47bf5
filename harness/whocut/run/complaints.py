"""What a loop says of errors that nothing caught.

Where the system's limit of open files is reached, a server continues with what it has: callers wait in the system's
queue, or are closed, until others have gone. asyncio logs that with a traceback for each connection.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from whocut.errors import NoRoom
from whocut.path.fallen import is_ours, why

if TYPE_CHECKING:
    import asyncio


def tell_once(loop: asyncio.AbstractEventLoop) -> None:
    """Make the loop say once, and in a sentence, what it would log for every connection that finds no room.

    A full disk is said by the command at its end: the layers know of it, and every callback would say it again.
    """
    told = False

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal told
        error = context.get("exception")
        if isinstance(error, NoRoom):
            return
        if error is None or not is_ours(error):
            loop.default_exception_handler(context)
        elif not told:
            told = True
            sys.stderr.write(f"warning: {why(error)}. Callers that find no room wait, or are closed.\n")

    loop.set_exception_handler(handle)
