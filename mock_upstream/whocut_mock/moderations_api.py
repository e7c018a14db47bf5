"""`POST /v1/moderations`: what the input filter would say of a text, before anything is paid for it.

It answers for the filter that reads prompts. What the other one finds in a finished picture cannot be known before.
The categories are the official SDK's; a score is ours: high where a word was found, low elsewhere.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web

from whocut_mock import access, answers, bodies, errors, moderation
from whocut_mock.dice import Dice
from whocut_mock.upstream import UPSTREAM, caller_of, request_id_of

DEFAULT_MODEL = "omni-moderation-latest"
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_OF_IMAGES_TOO = frozenset(
    ["self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "violence", "violence/graphic"]
)
_FOUND, _CLEAR_MOST = 0.97, 0.01
_INPUTS_MOST = 2_048  # ours


async def moderations(request: web.Request) -> web.Response:
    """One result for each input; of a list of parts, one for all of them together."""
    upstream = request.app[UPSTREAM]
    access.key_of(caller_of(request).key, upstream.settings)
    fields = bodies.parse_json(await bodies.small(request, upstream))
    unknown = next((name for name in fields if name not in ("input", "model")), None)
    if unknown is not None:
        raise errors.unknown_parameter(unknown)
    model = fields.get("model") or DEFAULT_MODEL
    if not isinstance(model, str):
        raise errors.wrong_type("model", "a string", errors.kind_of(model))
    rules = moderation.read_rules(upstream.settings.moderation.rules)
    results = []
    for text, has_image in _inputs(fields.get("input")):
        found = moderation.found_in(text, rules, upstream.settings.seed)
        results.append(_result(text, frozenset(found), upstream.settings.seed, has_image=has_image))
    answer_id = f"modr-{request_id_of(request, upstream)[4:28]}"
    return answers.plain({"id": answer_id, "model": model, "results": results}, {})


def _inputs(given: Any) -> list[tuple[str, bool]]:
    """The texts, each with whether an image comes with it."""
    if given is None:
        raise errors.missing_parameter("input")
    if isinstance(given, str):
        return [(given, False)]
    if not isinstance(given, list):
        raise errors.wrong_type("input", "a string or an array", errors.kind_of(given))
    if len(given) > _INPUTS_MOST:
        raise errors.array_too_long("input", len(given), _INPUTS_MOST)
    if all(isinstance(one, str) for one in given):
        return [(one, False) for one in given]
    kinds = [one.get("type") if isinstance(one, dict) else None for one in given]
    wrong = next((index for index, kind in enumerate(kinds) if kind not in ("text", "image_url")), None)
    if wrong is not None:
        raise errors.bad_choice(f"input[{wrong}].type", str(kinds[wrong]), ("text", "image_url"))
    return [("\n".join(_texts(given)), "image_url" in kinds)]


def _texts(parts: Sequence[dict[str, Any]]) -> Iterator[str]:
    for part in parts:
        if isinstance(part.get("text"), str):
            yield part["text"]


def _result(text: str, found: frozenset[str], seed: int, *, has_image: bool) -> dict[str, Any]:
    dice = Dice(f"moderations/{seed}".encode())
    kinds = ["text", "image"] if has_image else ["text"]
    return {
        "flagged": bool(found),
        "categories": {name: name in found for name in CATEGORIES},
        "category_scores": {
            name: _FOUND if name in found else dice.fraction(f"{name}/{text}") * _CLEAR_MOST
            for name in CATEGORIES
        },
        "category_applied_input_types": {
            name: [kind for kind in kinds if kind == "text" or name in _OF_IMAGES_TOO] for name in CATEGORIES
        },
    }
