"""``python -m tests.worlds [REQUESTS] [SEED]``: the long look; exits 1 on one wrong `proven`.

As many requests go through chains of our own layers as through strangers between taps.
"""

from __future__ import annotations

import sys

from tests.worlds.judge import look_at_worlds
from tests.worlds.strangers import look_at_strangers, said_of
from tests.worlds.telling import counting, told


def main() -> int:
    """Look, say what was seen, and judge."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    seen = look_at_worlds(requests=requests, seed=seed, progress=counting("requests"))
    sys.stderr.write("\n")
    sys.stdout.write(
        f"{seen.requests} requests, {seen.cut} cut, {seen.ties} ties, "
        f"{seen.attributed_share:.2%} attributed where all layers report\n"
    )
    sys.stdout.writelines(f"{line}\n" for line in told(seen))
    strange = look_at_strangers(requests=requests, seed=seed, progress=counting("requests"))
    sys.stderr.write("\n")
    sys.stdout.write(f"strangers between taps: {said_of(strange)}\n")
    wrong = seen.wrong_proven or seen.wrong or seen.disagreements or strange.wrong_proven
    return 1 if wrong or min(seen.attributed_share, strange.named_share) < 0.999 else 0


if __name__ == "__main__":
    sys.exit(main())
