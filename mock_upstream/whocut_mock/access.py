"""What a key may do: whether it is known, and whether its organisation has passed the wall of verification.

A key is in one state, and some states end by the clock. The ways of being stuck are the article's
(section 5); the API says the same sentence in all of them, for the reason is only to be seen on the
dashboard.
"""

from dataclasses import dataclass
from hashlib import sha256

from whocut_mock import errors
from whocut_mock.dice import Dice
from whocut_mock.settings import Key, Settings

_ANY_KEY = Key()
_HOUR_S, _DAY_S = 3_600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class State:
    """One place in the life of a key: whether it opens the door, how long it lasts, what follows.

    `lasts_s` is a range out of which each key draws its own; `None` lasts until the key's owner acts.
    `on_verify` is where a new attempt at verification leads; `None` leaves everything as it is.
    """

    opens: bool = False
    lasts_s: tuple[float, float] | None = None
    then: str = ""
    on_verify: str | None = None


STATES = {
    "verified": State(opens=True),
    "unverified": State(on_verify="propagating"),
    "country": State(),  # "country not on the allow-list": no attempt helps
    "locked": State(lasts_s=(90 * _DAY_S, 90 * _DAY_S), then="unverified"),  # "90-day re-verification lock"
    "session_expired": State(on_verify="propagating"),  # "restart from the dashboard"
    "propagating": State(lasts_s=(6 * _HOUR_S, 24 * _HOUR_S), then="verified"),  # "6-24 hours to propagate"
    "revoked": State(),
    "no_model_access": State(),
}


def key_of(caller_key: str | None, settings: Settings) -> Key:
    """What the settings say about this key; raises the 401 that an unknown one earns."""
    if caller_key is None:
        raise errors.no_key()
    known = settings.keys.get(caller_key)
    if known is None and settings.other_keys == "accept":
        return _ANY_KEY
    if known is None or known.state == "revoked":
        raise errors.wrong_key(caller_key)
    return known


def check_wall(caller_key: str, key: Key, model_name: str, settings: Settings, now_s: float) -> None:
    """Raise the 403 of a key whose organisation has not come through."""
    state = state_at(caller_key, key, settings.seed, now_s)
    if state == "no_model_access":
        raise errors.no_model_access(model_name)
    if not STATES[state].opens:
        raise errors.not_verified(model_name.rpartition("/")[2])


def state_at(caller_key: str, key: Key, seed: int, now_s: float) -> str:
    """The key's state now, after all the states that have ended by themselves."""
    name: str = key.state
    since_s = key.since_s
    while (lasts_s := STATES[name].lasts_s) is not None:
        dice = Dice(f"wall/{seed}".encode())
        since_s += dice.between(f"{sha256(caller_key.encode()).hexdigest()}/{name}", *lasts_s)
        if now_s < since_s:
            break
        name = STATES[name].then
    return name


def verified_anew(caller_key: str, key: Key, seed: int, now_s: float) -> Key:
    """The key after another attempt at verification, begun now."""
    state = state_at(caller_key, key, seed, now_s)
    following = STATES[state].on_verify
    return key if following is None else key.model_copy(update={"state": following, "since_s": now_s})


def check_budget(key: Key, spent_nano_usd: int, settings: Settings) -> None:
    """Raise the 429 of an account without money."""
    if key.budget_usd is not None and spent_nano_usd >= key.budget_usd * 1e9:
        raise errors.insufficient_quota(settings.quota.exhausted_code)
