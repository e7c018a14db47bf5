"""How long thirty tests of ten minutes each take in virtual time: ``python -m tests.benchmarks.bench_plugin``.

The figure to look at is the whole run as a user sees it, interpreter, SDK and all; beside it stands an empty run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from whocut.clock.clock import wall_s

TESTS = """
import openai, pytest

@pytest.mark.parametrize("number", range(30))
@pytest.mark.whocut(chain="{chain}", upstream={{"latency": {{"constant_s": 600}}}})
async def test_ten_minutes(whocut_chain, number):
    client = openai.AsyncOpenAI(base_url=whocut_chain.base_url, api_key="sk-test", timeout=900, max_retries=0)
    await client.images.generate(model="gpt-image-2", prompt=f"cat {{number}}", quality="high")
    whocut_chain.assert_billed_once()
    assert whocut_chain.now_s() >= 600
"""
CHAIN = "client: openai-python\nlayers:\n  - preset: nginx\n    timers: {first_byte: 700s, idle: 700s}\n"
EMPTY = "import openai\ndef test_nothing(): pass\n"


def took_s(text: str) -> tuple[float, str]:
    """One pytest run of this text: real seconds, and its last line."""
    with tempfile.TemporaryDirectory() as place:
        chain = Path(place) / "ten-minutes.yaml"
        chain.write_text(CHAIN)
        (Path(place) / "test_it.py").write_text(text.format(chain=chain) if "{chain}" in text else text)
        began = wall_s()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:locust"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        return wall_s() - began, done.stdout.strip().splitlines()[-1]


def main() -> None:
    """Measure and tell."""
    empty_s, _ = took_s(EMPTY)
    thirty_s, line = took_s(TESTS)
    print(f"30 tests of 600 s: {thirty_s:.2f} s in all ({line}); an empty run: {empty_s:.2f} s")


if __name__ == "__main__":
    main()
