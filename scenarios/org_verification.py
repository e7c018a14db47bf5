"""What does a key see whose organisation has not come through verification?

One mode for each way of being stuck that the article names, and one key that is through. Read the errors: the same
403 in every case, at once, after the parameters have been checked and before anything is billed; waiting helps in
one of them only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whocut.load import ImageUser, wanted

SCENARIO = {
    "chain": "direct",
    "modes": {
        "unverified": "never tried",
        "country": "the country is not on the list",
        "locked": "the 90-day lock after an earlier verification",
        "session-expired": "the session ended before the documents were in",
        "propagating": "verified, and access has not arrived everywhere yet",
        "verified": "through",
    },
    "requests": 4,
    "users": 4,
    "upstream": {
        "keys": {
            "sk-unverified": {"state": "unverified"},
            "sk-country": {"state": "country"},
            "sk-locked": {"state": "locked"},
            "sk-session-expired": {"state": "session_expired"},
            "sk-propagating": {"state": "propagating"},
            "sk-verified": {"state": "verified"},
        }
    },
}

if TYPE_CHECKING:
    import openai

    from whocut.load import Order


class OrgVerification(ImageUser):
    """Asks for one image with a key in the mode's state."""

    def api_key(self, mode: str) -> str | None:
        """The key in that state; only the mock knows these."""
        return f"sk-{mode}"

    def ask(self, client: openai.OpenAI, order: Order) -> None:
        """Take the image, or the refusal."""
        client.images.generate(**wanted(self.session.topology.upstream, order, quality="low"))
