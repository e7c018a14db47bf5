"""What a driver of a gateway says of its product, and the product's place on the path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from whocut.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from whocut.chain.layers import Layer
    from whocut.chain.timers import TimerKind
    from whocut.clock import Clock
    from whocut.path.gateways.own import Own

START: Final = "start.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The place of one gateway: the port it listens on, the address it dials, the folder that holds its files.

    At `spare_port` it may tell that it is ready.
    The folder belongs to this gateway alone and goes with it; `folder/logs` may be kept.
    """

    port: int
    spare_port: int
    upstream: tuple[str, int]
    folder: Path
    clock: Clock

    @property
    def logs(self) -> Path:
        """The folder of its logs."""
        return self.folder / "logs"

    @property
    def next(self) -> str:
        """The address it dials, as ``host:port``."""
        return f"{self.upstream[0]}:{self.upstream[1]}"

    def real_s(self, layer: Layer, kind: TimerKind) -> float | None:
        """A limit of the layer in real seconds; None is no timer."""
        limit_s = layer.limit_s(kind)
        return None if limit_s is None else self.clock.real_s(limit_s)

    def milliseconds(self, layer: Layer, kind: TimerKind) -> int | None:
        """A limit of the layer in whole milliseconds of real time, one at least; None is no timer."""
        real_s = self.real_s(layer, kind)
        return None if real_s is None else max(1, round(real_s * 1000))

    def time(self, layer: Layer, kind: TimerKind, *, none: str) -> str:
        """A limit of the layer in real time, as most products write it: ``600ms``, or `none` for no timer."""
        limit_ms = self.milliseconds(layer, kind)
        return none if limit_ms is None else f"{limit_ms}ms"


class Gateway(Protocol):
    """What the file of one product defines as `GATEWAY`. The file has the name of the product's preset.

    `program` is searched beside the Python that runs this, then in the path. `install` is the command that brings
    it. `out` is the file among its logs that takes its standard output. `ready` is a path that the gateway answers
    by itself, at the spare port, as soon as it has read its configuration; empty where it listens only then.
    `logs_requests`: it keeps an access log of the format that has its name. `starts_within_real_s`: how long it is
    waited for, in real seconds.
    """

    program: str
    install: str
    out: str
    ready: str
    logs_requests: bool
    starts_within_real_s: float

    def missing(self) -> bool:
        """Whether something besides the program that it needs is not on this machine."""

    def files(self, layer: Layer, site: Site) -> dict[str, str]:
        """The product's own configuration with the layer's limits in it: each file's text by its name.

        The first one is what the product is started with.
        """

    def own(self, config: Path, layer: Layer, site: Site) -> Own:
        """The user's own configuration as the product gets it here; its main file has the name of `files`' first.

        Raises:
            BadInput: this product cannot be started from one, or this one not; says why.
        """

    def command(self, program: str, layer: Layer, site: Site) -> list[str]:
        """The command that starts it and stays in the foreground."""

    def writes_log(self, site: Site) -> Sequence[str]:
        """The command that writes its access log before it ends, where it keeps that in memory; else nothing."""


class Driver:
    """The answers that most products share."""

    ready = ""
    logs_requests = True
    starts_within_real_s = 30.0  # Varnish compiles its configuration, and the machine may be busy

    def missing(self) -> bool:
        """Nothing but the program is needed."""
        return False

    def own(self, config: Path, layer: Layer, site: Site) -> Own:  # noqa: ARG002  # nothing is done with any
        """None can be used, until the driver says how."""
        raise BadInput(
            f"{layer.name}: {layer.gateway} cannot be started from a configuration of your own yet; leave `config` "
            "out and write the limits as `timers`"
        )

    def writes_log(self, site: Site) -> Sequence[str]:  # noqa: ARG002  # most need none
        """The product writes its own log, as it goes."""
        return ()
