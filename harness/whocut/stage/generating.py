"""Which requests are attempts: those that ask for a generation. Every other one is seen, named, and not judged.

A client may list the models, have its prompt moderated, send a file or count its tokens before it asks: none of
that is tried again at a price, and none of it takes the place of an attempt. A door that is not known here counts
as a generation, for vendors name theirs as they like.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Parts of a path behind which nothing is generated. Some vendors have their doors below a model's name, or write
# the method after a colon.
_BESIDE: Final = frozenset(
    {
        "moderations", "files", "uploads", "embeddings", "tokenize", "tokens", "input_tokens",
        "count_tokens", "countTokens", "embedContent", "batchEmbedContents", "cancel",
        "usage", "vector_stores", "realtime", "oauth", "token",
    }
)  # fmt: skip
_PARTS: Final = re.compile("[/:]")
# Doors through which text goes as well: an image is asked for by a tool, a modality, or the model's name.
_SHARED: Final = ("/chat/completions", "/responses")


def asks_for_a_generation(method: str, path: str, body: Mapping[str, Any]) -> bool:
    """Whether a request begins paid work; `body` is what was asked, as JSON; empty: it is no JSON."""
    if method != "POST" or path.endswith("/models") or _BESIDE & set(_PARTS.split(path)):
        return False
    return _asks_for_an_image(body) if path.endswith(_SHARED) else True


def _asks_for_an_image(body: Mapping[str, Any]) -> bool:
    tools = body.get("tools")
    by_tool = isinstance(tools, list) and any(
        isinstance(tool, dict) and tool.get("type") == "image_generation" for tool in tools
    )
    modalities = body.get("modalities")
    return (
        by_tool
        or (isinstance(modalities, list) and "image" in modalities)
        or "image" in str(body.get("model") or "")
    )
