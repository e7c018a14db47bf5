"""What an input may do: raise one of our errors with one sentence, in a second of the processor's time.

Each input is timed by the processor's time of this process, so that its neighbours on the machine do not count.
"""

from __future__ import annotations

import hashlib
import resource
import signal
import sys
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whocut.clock.clock import cpu_s
from whocut.errors import WhocutError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CPU_S: Final = 1.0
_STOPPED_CPU_S: Final = 10.0
_MOST_SENTENCE: Final = 3000
_CODES: Final = {0, 1, 2, 3}
_HOUSES: Final = ("/harness/whocut/", "/mock_upstream/whocut_mock/", "/reports/whocut_reports/")


class TooLong(BaseException):
    """The input has taken too much of the processor's time, and is stopped."""


class Refused(Exception):  # noqa: N818  # an answer, not a failure
    """The door said no, as it may."""


class Wrong(AssertionError):  # noqa: N818  # as above
    """An answer that may not be."""


@dataclass(slots=True)
class Finding:
    """One way in which inputs of a door fail, with the first of them."""

    door: str
    what: str
    data: bytes
    trace: str
    times: int = 1


@dataclass
class Watch:
    """Counts inputs by door and what they came to, and keeps what went wrong."""

    inputs: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Finding] = field(default_factory=dict)
    slowest_s: dict[str, float] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def over(self, door: str, data: bytes) -> Iterator[None]:
        """Around one input."""
        self.inputs[door] += 1
        began_s = cpu_s()
        try:
            yield
        except Refused:
            self.refused[door] += 1
        except WhocutError as error:
            self.refused[door] += 1
            self._sentence(door, data, error)
        except (Exception, TooLong) as error:  # noqa: BLE001  # whatever it is, it is the finding
            self._keep(door, data, _signature(error), "".join(traceback.format_exception(error)))
        took_s = cpu_s() - began_s
        self.slowest_s[door] = max(took_s, self.slowest_s.get(door, 0.0))
        self.took_s[door] = self.took_s.get(door, 0.0) + took_s
        if took_s > MOST_CPU_S:
            self._keep(door, data, f"it took {took_s:.0f} s of the processor", "")

    def _sentence(self, door: str, data: bytes, error: WhocutError) -> None:
        said = str(error)
        if error.exit_code not in _CODES:
            self._keep(door, data, f"exit code {error.exit_code}", said)
        if not said.strip() or len(said) > _MOST_SENTENCE or "Traceback" in said:
            self._keep(door, data, f"no sentence: {type(error).__name__}", said[:_MOST_SENTENCE])

    def _keep(self, door: str, data: bytes, what: str, trace: str) -> None:
        known = self.findings.get(f"{door}: {what}")
        if known is not None:
            known.times += 1
            if len(data) < len(known.data):
                known.data = data
        else:
            self.findings[f"{door}: {what}"] = Finding(door, what, data, trace)

    def keep_files(self, folder: Path) -> None:
        """The shortest input of each finding, in a file by door and content."""
        for finding in self.findings.values():
            (folder / finding.door).mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(finding.data).hexdigest()[:12]
            (folder / finding.door / name).write_bytes(finding.data)

    def report(self) -> str:
        """The counts by door, and the findings."""
        rows = [f"{'door':<12}{'inputs':>10}{'refused':>10}{'slowest':>10}{'each':>10}"]
        rows += [
            f"{door:<12}{count:>10}{self.refused[door]:>10}{self.slowest_s.get(door, 0):>8.2f} s"
            f"{1000 * self.took_s.get(door, 0) / count:>7.2f} ms"
            for door, count in sorted(self.inputs.items())
        ]
        rows += [f"{sum(self.inputs.values())} inputs, peak memory {peak_mib():.0f} MiB"]
        rows += [
            f"FINDING {known} ({finding.times} times, {len(finding.data)} bytes)\n{finding.trace}"
            for known, finding in self.findings.items()
        ]
        return "\n".join(rows)


def _signature(error: BaseException) -> str:
    """Its type, and the innermost place in our own code."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if any(house in frame.filename for house in _HOUSES)
    ]
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def peak_mib() -> float:
    """The most memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@contextmanager
def stopping_what_hangs() -> Iterator[None]:
    """Stop the input that runs when the processor's time of one input is long over."""

    def stop(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def wind_up() -> None:
    """Begin the time of the next input, where something hears its end: unheard, the signal ends the process."""
    if signal.getsignal(signal.SIGPROF) not in {signal.SIG_DFL, signal.SIG_IGN}:
        signal.setitimer(signal.ITIMER_PROF, _STOPPED_CPU_S)
