"""What a scenario file says of itself, read without running it.

A scenario is a Locust file; importing it would bring gevent into this process. What `whocut run` must know before
it starts is in one literal at the top of the file::

    SCENARIO = {
        "chain": "article",                         # a chain by name; --chain overrides it
        "modes": {"plain": "one answer at the end", "stream": "partial images"},
        "run": ["plain"],                           # the modes to run unless --mode says otherwise; default: all
        "users": 20, "requests": 60,                # at the same time; images asked for, in each mode
        "arrivals": "30/min",                       # open arrivals; default: closed, each user one after the other
        "steps": True,                              # each mode keeps what the one before changed: drawn as a ladder
        "mix": {"plain": 0.7, "stream": 0.3},       # the modes in one stage, not one after another; adds up to 1
        "upstream": {"quota": {"tier": "1"}},       # the mock's settings, as its --config takes them
        "upstream_in": {"stream": {…}},             # changes to them while one mode runs
        "raised_in": {"stream": 300},               # that mode runs behind the chain with its limits raised
        "want": ["delivered>=0.99"],                # thresholds; --want adds to them
    }
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from whocut.chain.chainfile import find_chain
from whocut.chain.load import Arrivals, LoadStage, parse_arrivals
from whocut.chain.shipped import SCENARIOS
from whocut.chain.want import parse_wants
from whocut.clock import parse_clock
from whocut.errors import BadFile, BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_NAME = "SCENARIO"
PLAIN_MODES = {
    "plain": "one answer at the end, the SDK's default retries",
    "stream": "server-sent events with partial images, the SDK's default retries",
    "no-retry": "one answer at the end, max_retries=0",
}


# What reads the flag of the same name; the scenario's own word is held to it, whether a flag overrides it or not.
_READ_BY: Mapping[str, Callable[[Any], object]] = {
    "chain": find_chain,
    "clock": parse_clock,
    "arrivals": parse_arrivals,
    "want": parse_wants,
}


class Scenario(BaseModel):
    """The literal at the top of a scenario file; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chain: str = "article"
    modes: dict[str, str] = PLAIN_MODES
    run: list[str] = []
    clock: str = "scaled:100"
    steps: bool = False
    arrivals: str = "closed"
    mix: dict[str, Annotated[float, Field(gt=0)]] = {}
    users: int = Field(default=20, ge=1)
    requests: int = Field(default=60, ge=1)
    partial_images: int = Field(default=2, ge=0, le=3)
    upstream: dict[str, Any] = {}
    upstream_in: dict[str, dict[str, Any]] = {}
    raised_in: dict[str, Annotated[float, Field(gt=0)]] = {}
    want: list[str] = []

    @property
    def default_modes(self) -> tuple[str, ...]:
        """What runs unless the command line says otherwise."""
        return tuple(self.run or self.mix or self.modes)

    def stages(self, modes: Sequence[str], requests: int, arrivals: Arrivals | None) -> tuple[LoadStage, ...]:
        """One stage for each mode; or, where the scenario mixes them, one for all."""
        if self.mix:
            mix = {mode: self.mix.get(mode, 1.0) for mode in modes}
            name = modes[0] if len(modes) == 1 else "mix"
            return (LoadStage(name=name, mix=mix, requests=requests, arrivals=arrivals),)
        return tuple(
            LoadStage(name=mode, mix={mode: 1.0}, requests=requests, arrivals=arrivals) for mode in modes
        )


def shipped_scenarios() -> dict[str, Path]:
    """The scenarios that come with the package, by name: the files that hold the literal."""
    found = {}
    for path in sorted(SCENARIOS.glob("*.py")):
        if _literal(ast.parse(path.read_text(encoding="utf-8"))) is not None:
            found[path.stem] = path
    return found


def find_scenario(name_or_path: str) -> Path:
    """The file of a scenario given by name or by path.

    Raises:
        BadInput: neither a shipped scenario nor a file; names the nearest one.
    """
    path = Path(name_or_path)
    if path.suffix == ".py":
        if path.is_file():
            return path
        raise BadInput(f"there is no scenario file {path}")
    shipped = shipped_scenarios()
    if name_or_path in shipped:
        return shipped[name_or_path]
    raise BadInput(
        f"there is no scenario '{name_or_path}'{nearest(name_or_path, shipped)}; shipped are "
        f"{', '.join(shipped)}, and a path to a .py file is taken too"
    )


def read_scenario(path: Path) -> Scenario:
    """What a file says of itself; the defaults where it says nothing.

    Raises:
        BadFile: it is not Python, or its literal cannot be used; names line and field.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(path, f"it cannot be read: {error}") from None
    except SyntaxError as error:
        raise BadFile(path, f"it is not Python: {error.msg}", line=error.lineno) from None
    node = _literal(tree)
    if node is None:
        return Scenario()
    try:
        told = Scenario.model_validate(ast.literal_eval(node))
    except ValueError as error:
        if isinstance(error, ValidationError):
            raise _first(path, node, error) from None
        raise BadFile(path, f"{_NAME} must be a literal: no names, no calls", line=node.lineno) from None
    for field, read in _READ_BY.items():
        try:
            read(getattr(told, field))
        except BadInput as error:
            raise BadFile(path, error.problem, line=_line(node, field), field=f"{_NAME}.{field}") from None
    for field, named in (
        ("run", told.run),
        ("mix", told.mix),
        ("upstream_in", told.upstream_in),
        ("raised_in", told.raised_in),
    ):
        for mode in named:
            if mode not in told.modes:
                hint = (
                    f"there is no mode '{mode}'{nearest(mode, told.modes)}; there are {', '.join(told.modes)}"
                )
                raise BadFile(path, hint, line=_line(node, field), field=f"{_NAME}.{field}")
    whole = sum(told.mix.values())
    if told.mix and round(whole, 2) != 1:  # to the percent: three thirds may be 0.333 each
        problem = f"the shares add up to {whole:g}, and must add up to 1"
        raise BadFile(path, problem, line=_line(node, "mix"), field=f"{_NAME}.mix")
    return told


def _literal(tree: ast.Module) -> ast.expr | None:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == _NAME for target in targets):
                return node.value
    return None


def _line(node: ast.expr, field: object) -> int:
    """The line that holds a field of the literal."""
    if isinstance(node, ast.Dict):
        for key in node.keys:
            if isinstance(key, ast.Constant) and key.value == field:
                return key.lineno
    return node.lineno


def _first(path: Path, node: ast.expr, error: ValidationError) -> BadFile:
    first = error.errors()[0]
    field = ".".join(str(step) for step in first["loc"])
    line = _line(node, first["loc"][0] if first["loc"] else None)
    if first["type"] == "extra_forbidden":
        known = list(Scenario.model_fields)
        hint = f"there is no such field{nearest(field, known)}; there are {', '.join(known)}"
        return BadFile(path, hint, line=line, field=f"{_NAME}.{field}".rstrip("."))
    return BadFile(
        path, first["msg"][0].lower() + first["msg"][1:], line=line, field=f"{_NAME}.{field}".rstrip(".")
    )


def pick_modes(told: Scenario, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The modes to run: those asked for, or the scenario's own choice.

    Raises:
        BadInput: the scenario has no such mode; names the nearest one.
    """
    modes = tuple(dict.fromkeys(wanted or told.default_modes))
    for name in modes:
        if name not in told.modes:
            raise BadInput(
                f"there is no mode '{name}'{nearest(name, told.modes)}; there are {', '.join(told.modes)}",
                field="mode",
            )
    return modes
