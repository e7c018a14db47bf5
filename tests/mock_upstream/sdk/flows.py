"""Which flows of which official SDK are driven: a name of what `vendors.py` has seen, or why there is no such flow.

``python -m tests.mock_upstream.sdk.flows`` prints it as the table of the documentation.
"""

import sys

_NAMES = ("submit", "poll", "wait helper", "stream", "cancel", "failure", "moderation", "429", "callback")
_ROWS: dict[str, tuple[str, ...]] = {
    "openai": (
        "submitted",
        "polled",
        "no: the SDK has no helper for responses",
        "stream",
        "cancelled",
        "failed",
        "blocked forbidden",
        "too_many",
        "webhook",
    ),
    "azure": (
        "plain",
        "no: images only",
        "no: images only",
        "stream",
        "no: images only",
        "failed",
        "blocked forbidden",
        "too_many",
        "no: images only",
    ),
    "gemini": (
        "veo",
        "veo",
        "no: the SDK has no helper",
        "stream",
        "no: the SDK cancels no film",
        "failed veo_failed",
        "blocked forbidden veo_blocked",
        "too_many",
        "no: the signature's format is unverified",
    ),
    "fal": (
        "result",
        "updates",
        "subscribed",
        "no: these models do not stream",
        "cancelled",
        "failed",
        "blocked forbidden",
        "too_many",
        "webhook",
    ),
    "replicate": (
        "statuses",
        "statuses",
        "held outlasted several",
        "no: these models do not stream",
        "cancelled",
        "failed",
        "blocked forbidden",
        "too_many",
        "webhook",
    ),
    "openrouter": (
        "submitted",
        "statuses",
        "no: the SDK has no helper",
        "stream",
        "no: the API has no cancel",
        "failed video_failed",
        "blocked forbidden",
        "too_many",
        "callback",
    ),
}
FLOWS = {vendor: dict(zip(_NAMES, row, strict=True)) for vendor, row in _ROWS.items()}


def table() -> str:
    """The table: `yes` is a flow that the SDK passes on both clocks of the mock."""
    lines = [f"| SDK | {' | '.join(_NAMES)} |", f"|---|{'---|' * len(_NAMES)}"]
    for vendor, row in _ROWS.items():
        cells = [how.removeprefix("no: ") if how.startswith("no: ") else "yes" for how in row]
        lines.append(f"| {vendor} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
