"""The receivers of webhooks: their addresses, their event types, and the secrets of their signatures."""

import base64
import secrets
from dataclasses import dataclass, field
from typing import Any

from whocut_mock.clock import ModelClock
from whocut_mock.dice import Dice
from whocut_mock.errors import ApiError

_ENDPOINTS_MOST = 100  # ours
_DAY_S = 86_400.0


@dataclass
class Endpoint:
    """One receiver: its secrets, the newest first, each with the instant at which it ends."""

    id: str
    name: str
    url: str
    event_types: tuple[str, ...]
    created: int
    updated: int
    secrets: list[tuple[str, float]] = field(default_factory=list)
    disabled: bool = False

    def valid(self, now_s: float) -> list[str]:
        """The secrets that a letter is signed with now."""
        return [secret for secret, until_s in self.secrets if now_s < until_s]

    def shown(self) -> dict[str, Any]:
        """The endpoint without its secret."""
        return {
            "id": self.id,
            "object": "webhook_endpoint",
            "created_at": self.created,
            "updated_at": self.updated,
            "name": self.name,
            "url": self.url,
            "event_types": list(self.event_types),
            "signing_secret_hint": f"whsec_…{self.secrets[0][0][-4:]}",
            "disabled": self.disabled,
        }

    def disable(self) -> None:
        """It has said 410: nothing is sent to it any more, until it is changed."""
        self.disabled = True


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass
class Endpoints:
    """All of them, by their ids."""

    clock: ModelClock
    _kept: dict[str, Endpoint] = field(default_factory=dict)
    _told: int = 0

    def add(self, name: str, url: str, event_types: tuple[str, ...]) -> Endpoint:
        """Take another receiver."""
        if len(self._kept) >= _ENDPOINTS_MOST:
            raise ApiError(
                400, f"At most {_ENDPOINTS_MOST} webhook endpoints can be kept.", code="limit_reached"
            )
        now = self.clock.unix_s()
        endpoint = Endpoint(
            f"we_{secrets.token_hex(12)}", name, url, event_types, now, now, [(_new_secret(), float("inf"))]
        )
        self._kept[endpoint.id] = endpoint
        return endpoint

    def rotate(self, endpoint: Endpoint, *, keep_old: bool) -> None:
        """Give it a new secret; the old one ends now, or in a day."""
        now_s = self.clock.now_s()
        old = (
            [(secret, min(until_s, now_s + _DAY_S)) for secret, until_s in endpoint.secrets]
            if keep_old
            else []
        )
        endpoint.secrets = [(_new_secret(), float("inf")), *old]
        endpoint.updated = self.clock.unix_s()

    def find(self, endpoint_id: str) -> Endpoint:
        """The endpoint of this id.

        Raises:
            ApiError: the id is unknown.
        """
        found = self._kept.get(endpoint_id)
        if found is None:
            raise ApiError(404, f"No webhook endpoint found with id '{endpoint_id[:100]}'.", param="id")
        return found

    def remove(self, endpoint: Endpoint) -> None:
        """Tell it nothing more."""
        del self._kept[endpoint.id]

    def all(self) -> list[Endpoint]:
        """In the order in which they came."""
        return list(self._kept.values())

    def wanting(self, event_type: str) -> list[Endpoint]:
        """The endpoints of this event type."""
        return [one for one in self._kept.values() if event_type in one.event_types and not one.disabled]

    def next_event(self) -> str:
        """The id of the next event."""
        self._told += 1
        return f"evt_{Dice(b'event').hex(str(self._told), 24)}"
