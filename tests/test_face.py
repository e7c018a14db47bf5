"""The public face: what `import whocut` brings, and what it costs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import openai
import pytest

import whocut
from tests.commands import python
from whocut.clock import run_virtual

ROOT = Path(__file__).parents[1]


def test_names_are_sorted_and_each_is_there() -> None:
    """The list is in order, and every name of it can be had."""
    assert whocut.__all__ == sorted(whocut.__all__)
    assert all(getattr(whocut, name) is not None for name in whocut.__all__)


def test_importing_it_imports_nothing_else() -> None:
    """A program that only wants the errors pays for no SDK, no server and no parser."""
    code = (
        "import sys, whocut; whocut.BadInput; print(sorted(n for n in sys.modules if n.startswith('whocut')))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['whocut', 'whocut.errors']"


@pytest.mark.parametrize("name", ["check", "triage", "attribute"])
def test_a_question_stays_a_function_when_rooms_are_imported(name: str) -> None:
    """No package of ours carries the name of a public function, which its import would replace."""
    assert callable(getattr(whocut, name))
    assert importlib.util.find_spec(f"whocut.{name}") is None


def test_an_unknown_name_is_an_attribute_error() -> None:
    """`hasattr` works."""
    assert not hasattr(whocut, "no_such_name")


def test_a_chain_in_virtual_time_takes_no_time_and_bills_three_times() -> None:
    """The default SDK behind an edge that cuts at 60 s: three generations, each cut by the edge."""

    async def main() -> tuple[str, int]:
        async with whocut.Chain("edge-60") as chain:
            async with openai.AsyncOpenAI(base_url=chain.base_url, api_key="sk-test") as client:
                with pytest.raises(openai.InternalServerError):
                    await client.images.generate(model="gpt-image-2", prompt="a cat", quality="high")
            await chain.settled()
            return chain.verdict().phrase, len(chain.upstream.ledger)

    phrase, generations = run_virtual(main())

    assert phrase.startswith("edge cut by total after 60 s, while waiting · proven")
    assert generations == 3


def test_the_mock_alone_answers_with_the_fault_that_was_asked_for() -> None:
    """One fault by name: every answer is a 429."""

    async def main() -> int:
        async with (
            whocut.MockUpstream("rate_limited=12") as mock,
            openai.AsyncOpenAI(base_url=mock.base_url, api_key="sk-test", max_retries=0) as client,
        ):
            with pytest.raises(openai.RateLimitError) as caught:
                await client.images.generate(model="gpt-image-2", prompt="a cat")
            return caught.value.status_code

    assert run_virtual(main()) == 429


def test_a_misspelt_chain_is_refused_before_anything_starts() -> None:
    """The nearest name stands in the sentence."""
    with pytest.raises(whocut.BadInput, match="did you mean 'edge-60'"):
        whocut.Chain("edge60")


def test_the_page_of_public_names_is_made_from_the_docstrings(tmp_path: Path) -> None:
    """docs/api.md says what the docstrings say."""
    spec = importlib.util.spec_from_file_location("api_page", ROOT / "tools" / "api_page.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == module.page() + "\n"
    assert python("whocut", "--version", cwd=tmp_path).stdout.startswith("whocut ")
