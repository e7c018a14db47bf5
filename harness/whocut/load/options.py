"""What plain `locust -f` can be told of a scenario, beside Locust's own options: a group of its own in its help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whocut.errors import BadInput
from whocut.load.scenario_file import literal_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from locust import User


@dataclass(frozen=True, slots=True)
class _Option:
    """One option of `whocut run`.

    `many` values are written with commas, so that Locust's page can take them; one that stands `alone` has none.
    What `spends` money is said on the command line alone: whoever reaches the page is not who pays.
    """

    flag: str
    metavar: str
    help: str
    many: bool = False
    alone: bool = False
    spends: bool = False

    @property
    def dest(self) -> str:
        return "whocut_" + self.flag.removeprefix("--").replace("-", "_")


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
    _Option("--port", "N", "Where the chain listens; default: any free port."),
    _Option("--out", "DIR", "The run directory to make. Default: runs/SCENARIO-CHAIN."),
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
)


def add_options(parser: Any, scenario: type[User] | None) -> None:
    """Put our group into Locust's parser, and the scenario's own number of users where Locust would take one."""
    group = parser.add_argument_group("whocut", "The run, as `whocut run` takes it.")
    for option in OPTIONS:
        how = {"action": "store_true"} if option.alone else {"metavar": option.metavar}
        action: Any = group.add_argument(option.flag, dest=option.dest, help=option.help, **how)
        # Locust's parser marks its own options so, and overlooks a group's. What spends money is not in the form.
        action.include_in_web_ui = not option.spends
    users = (literal_of(scenario) or {}).get("users", 20)
    parser.set_defaults(num_users=users, spawn_rate=max(100, users))


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
    """What was written of a real endpoint and of money, Locust's own ``--host`` among it."""
    written = {"--host": getattr(parsed, "host", None)}
    written |= {option.flag: getattr(parsed, option.dest, None) for option in OPTIONS if option.spends}
    return {flag: value for flag, value in written.items() if value}


def hold_to(consent: dict[str, Any], parsed: Any) -> None:
    """See that nobody has changed it since Locust was started.

    Raises:
        BadInput: somebody has, by the page.
    """
    now = consent_in(parsed)
    changed = [flag for flag in {**consent, **now} if consent.get(flag) != now.get(flag)]
    # Locust keeps what a form has said: the next start must not be refused for it as well.
    parsed.host = consent.get("--host")
    for option in OPTIONS:
        if option.spends:
            setattr(parsed, option.dest, consent.get(option.flag))
    if changed:
        raise BadInput(
            f"{changed[0]} is not taken from Locust's page: which real endpoint is asked, and what it may cost, is "
            "said on the command line that starts Locust"
        )


def account_begun(consent: dict[str, Any], parsed: Any) -> None:
    """The user's word that an account may begin holds for one start."""
    consent.pop("--new-account", None)
    parsed.whocut_new_account = False
