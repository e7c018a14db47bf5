"""``python -m tests.worlds.jobs [JOBS] [SEED]``: the long look at jobs; exits 1 on one wrong `proven`."""

from __future__ import annotations

import sys

from tests.worlds.jobs.judge import look_at_jobs
from tests.worlds.telling import counting, told


def main() -> int:
    """Look, say what was seen, and judge."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    seen = look_at_jobs(jobs=jobs, seed=seed, progress=counting("jobs"))
    sys.stderr.write("\n")
    sys.stdout.write(
        f"{seen.jobs} jobs in {seen.parts} parts, {seen.cut} parts cut, {seen.attributed_share:.2%} of them "
        f"attributed where all layers report; {seen.lost} results lost, {seen.named_share:.2%} of them named; "
        f"{seen.swallowed} taken by a blind layer, {seen.asked_again} parts sent again by a layer\n"
    )
    sys.stdout.write(f"{'lost':>14}: {dict(seen.ways.most_common())}\n")
    sys.stdout.writelines(f"{line}\n" for line in told(seen))
    wrong = seen.wrong_proven or seen.wrong or seen.disagreements
    return 1 if wrong or min(seen.attributed_share, seen.named_share) < 0.999 else 0


if __name__ == "__main__":
    sys.exit(main())
