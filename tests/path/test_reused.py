"""SDK calls through a tap to an endpoint behind TLS, on connections that are used again: none of them hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.path.reused import AT_ONCE, ask_many
from whocut.clock import run_real

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.sockets
def test_no_call_hangs_on_a_connection_that_is_used_again(tmp_path: Path) -> None:
    """Ten calls of each caller; `python -m tests.path.reused` makes ten thousand."""
    calls = run_real(ask_many(10 * AT_ONCE, tmp_path))

    assert calls.ends == {"delivered": 10 * AT_ONCE}
    assert calls.requests == 10 * AT_ONCE
    assert calls.connections <= 2 * AT_ONCE
