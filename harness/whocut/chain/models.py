"""The models that are known: their names, and those that have been shut down.

The mock upstream serves the same names, but imports nothing of whocut. So it has its own list of them, and a parity
test holds the two together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whocut.chain.prices import output_tokens
from whocut.errors import BadFile, BadInput, nearest

if TYPE_CHECKING:
    from whocut.chain.layers import Upstream

KNOWN: Final = (
    "gpt-image-1-mini",
    "gpt-image-1.5",
    "gpt-image-2",
    "gpt-image-2-2026-04-21",
    "gpt-image-2.5-sunburst",
    "gpt-image-2.5-sunburst-2026-09-08",
    "gpt-image-2.5-flare",
    "gpt-image-2.5-flare-2026-09-08",
    "gpt-image-2.6-sunburst",
    "gpt-image-2.6-flare",
    "chatgpt-image-latest",
)
RETIRED: Final = {"gpt-image-1": "2026-10-23", "dall-e-2": "2026-05-12", "dall-e-3": "2026-05-12"}


def is_known(model: str) -> bool:
    """Whether the mock serves this model; the name may begin with an aggregator's route (`openai/…`)."""
    return model.rpartition("/")[2] in KNOWN


def refuse_unknown(upstream: Upstream, way_out: str = "") -> None:
    """Say no to a model that the mock does not serve, or to a size or quality that the model does not have.

    `way_out` is what can be done about an unknown model beside naming another one.

    Raises:
        BadInput: the model is unknown; names the nearest one, and the place in the chain file.
    """
    name = upstream.model.rpartition("/")[2]
    if is_known(upstream.model):
        try:
            output_tokens(upstream.model, upstream.size, upstream.quality)
        except BadInput as error:
            raise _bad(upstream, error.problem) from None
    elif name in RETIRED:
        raise _bad(upstream, f"the model '{name}' was shut down on {RETIRED[name]}; {_write(way_out)}")
    else:
        raise _bad(upstream, f"the model '{name}' is unknown{nearest(name, KNOWN)}; {_write(way_out)}")


def _write(way_out: str) -> str:
    return f"write one of {', '.join(KNOWN)}" + (f", or {way_out}" if way_out else "")


def _bad(upstream: Upstream, problem: str) -> BadInput:
    if upstream.file:
        return BadFile(upstream.file, problem, line=upstream.line, field="upstream")
    return BadInput(problem, field="upstream")
