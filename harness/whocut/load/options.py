"""The options of a scenario under plain `locust -f`, beside Locust's own: a group of its own in its help."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from whocut.chain.chainfile import shipped_chains
from whocut.errors import BadInput, nearest
from whocut.load.scenario_file import literal_of
from whocut.path.address import parse_listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from locust import User

LOOPBACK = "127.0.0.1"
_COUNTS = frozenset({"--requests", "--arrivals"})


@dataclass(frozen=True, slots=True)
class _Option:
    """One option of `whocut run`.

    `many` values are written with commas, so that Locust's page can take them; an option that is `alone` has no
    value. What `spends` money, and what names a place on this machine (`fixed`), is taken from the command line
    alone: a browser that reaches the page does not pay, and does not choose files.
    """

    flag: str
    metavar: str
    help: str
    many: bool = False
    alone: bool = False
    spends: bool = False
    fixed: bool = False

    @property
    def dest(self) -> str:
        return "whocut_" + self.flag.removeprefix("--").replace("-", "_")


_NAME: Final = re.compile(r"[\w-]{1,60}")
OPTIONS = (
    _Option("--chain", "NAME", "A chain by name, or a path to a chain file. Default: the scenario's."),
    _Option("--mode", "MODE[,MODE]", "Modes of the scenario. Default: the scenario's.", many=True),
    _Option("--requests", "N", "How many images are asked for, in each mode. Default: the scenario's."),
    _Option("--arrivals", "N/min", "Open arrivals like 30/min, or closed. Default: the scenario's."),
    _Option(
        "--clock", "CLOCK", "real, or scaled:100 for 100 model seconds a second. Default: the scenario's."
    ),
    _Option("--seed", "N", "The same seed asks the same and takes the same time."),
    _Option(
        "--want", "WANT[,WANT]", "Thresholds like delivered>=0.99; exit code 1 when one breaks.", many=True
    ),
    _Option("--port", "N", "Where the chain listens; default: any free port.", fixed=True),
    _Option("--out", "DIR", "The run directory to make. Default: runs/SCENARIO-CHAIN.", fixed=True),
    _Option(
        "--listen",
        "ADDRESS[:PORT]",
        "On the master: take workers from other machines there, and on --port the chain's callers. All need the "
        "same WHOCUT_TOKEN.",
        fixed=True,
    ),
    _Option(
        "--local-chain",
        "",
        "With --listen: each worker has chain and mock of its own.",
        alone=True,
        fixed=True,
    ),
    _Option("--quota-in", "URL", "With --local-chain: the Redis where all mocks share a quota.", fixed=True),
    _Option("--to", "URL", "A real endpoint instead of the mock. It costs money.", spends=True),
    _Option("--budget-usd", "USD", "With --to: the most that may ever be spent by the account.", spends=True),
    _Option(
        "--max-requests",
        "N",
        "With --to: the most attempts on the wire, retries and all runs together.",
        spends=True,
    ),
    _Option(
        "--account", "FILE", "With --to: the file of what was spent. Default: one for the key.", spends=True
    ),
    _Option(
        "--new-account", "", "With --to: begin an account; there must be none yet.", alone=True, spends=True
    ),
    _Option(
        "--free",
        "",
        "With --to: nothing there bills. No key is sent, no budget needed.",
        alone=True,
        spends=True,
    ),
    _Option("--breaker", "SHARE", "With --to: the failures that end the run, like 80%, or off.", spends=True),
)


class _Listens(argparse.Action):
    """Where Locust's master is to listen, as `whocut run` writes it; a worker is given the same flags."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: Any = None,
    ) -> None:
        """Keep it, and tell Locust.

        Raises:
            ArgumentError: it is no address.
        """
        del parser, option_string
        try:
            namespace.master_bind_host, namespace.master_bind_port = parse_listen(values)
        except BadInput as error:
            raise argparse.ArgumentError(self, error.problem) from None
        setattr(namespace, self.dest, values)


def add_options(parser: Any, scenario: type[User] | None) -> None:
    """Put our group into Locust's parser, and the scenario's own number of users where Locust would take one."""
    group = parser.add_argument_group("whocut", "The run, as `whocut run` takes it.")
    for option in OPTIONS:
        how: dict[str, Any] = {"action": "store_true"} if option.alone else {"metavar": option.metavar}
        if option.flag == "--listen":
            how["action"] = _Listens
        action: Any = group.add_argument(option.flag, dest=option.dest, help=option.help, **how)
        # Locust's parser marks its own options so, and overlooks a group's.
        action.include_in_web_ui = not (option.spends or option.fixed)
    users = (literal_of(scenario) or {}).get("users", 20)
    # Locust listens on all addresses by default, with its page and with its master.
    parser.set_defaults(
        num_users=users, spawn_rate=max(100, users), web_host=LOOPBACK, master_bind_host=LOOPBACK
    )


def as_arguments(parsed: Any) -> Iterator[str]:
    """What was written, as arguments of `whocut run`. Locust's own `--host` is an endpoint, which needs consent."""
    if getattr(parsed, "host", None) and not parsed.whocut_to:
        yield from ("--to", parsed.host)
    for option in OPTIONS:
        written = getattr(parsed, option.dest, None)
        if written is True:
            yield option.flag
        elif written:
            for value in written.split(",") if option.many else [written]:
                yield from (option.flag, value.strip())


def consent_in(parsed: Any) -> dict[str, Any]:
    """What the page must not change: the endpoint, money, places on this machine; Locust's own ``--host`` among it.

    With a real endpoint that is also how many requests are made.
    """
    written = {"--host": getattr(parsed, "host", None)}
    written |= {
        option.flag: getattr(parsed, option.dest, None) for option in OPTIONS if _is_held(option, parsed)
    }
    return {flag: value for flag, value in written.items() if value}


def _is_held(option: _Option, parsed: Any) -> bool:
    pays = bool(getattr(parsed, "host", None) or getattr(parsed, "whocut_to", None))
    return option.spends or option.fixed or (pays and option.flag in _COUNTS)


def hold_to(consent: dict[str, Any], parsed: Any, chain_at_start: str | None = None) -> None:
    """See that the page has not changed it since Locust was started.

    Raises:
        BadInput: the page was sent another value, or a chain that is no shipped one's name.
    """
    now = consent_in(parsed)
    changed = [flag for flag in {**consent, **now} if consent.get(flag) != now.get(flag)]
    chain = getattr(parsed, "whocut_chain", None)
    # Locust keeps what a form has said: the next start must not be refused for it as well.
    parsed.host = consent.get("--host")
    for option in OPTIONS:
        if option.spends or option.fixed:
            setattr(parsed, option.dest, consent.get(option.flag))
    if changed:
        raise BadInput(
            f"{changed[0]} is not taken from Locust's page: which endpoint is asked, what it may cost and where "
            "files lie is said on the command line that starts Locust"
        )
    if chain and chain != chain_at_start and chain not in shipped_chains():
        # A file's words in the answer would show any file of this machine to a browser; a path is not said either.
        named = (
            f"there is no chain '{chain}'{nearest(chain, shipped_chains())}. "
            if _NAME.fullmatch(chain)
            else ""
        )
        raise BadInput(
            f"{named}A chain file is not taken from Locust's page. Choose a shipped chain's name, or name the file "
            "on the command line that starts Locust."
        )


def account_begun(consent: dict[str, Any], parsed: Any) -> None:
    """The user's word that an account may begin holds for one start."""
    consent.pop("--new-account", None)
    parsed.whocut_new_account = False
