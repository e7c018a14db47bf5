"""``python -m tests.worlds.jobs [JOBS] [SEED]``: the long look at jobs; exits 1 on one wrong `proven`."""

from __future__ import annotations

import sys

from tests.worlds.jobs.judge import look_at_jobs


def main() -> int:
    """Look, say what was seen, and judge."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    seen = look_at_jobs(jobs=jobs, seed=seed, progress=_progress)
    sys.stderr.write("\n")
    sys.stdout.write(
        f"{seen.jobs} jobs in {seen.parts} parts, {seen.cut} parts cut, {seen.attributed_share:.2%} of them "
        f"attributed where all layers report; {seen.lost} results lost, {seen.named_share:.2%} of them named; "
        f"{seen.swallowed} taken by a blind layer, {seen.asked_again} parts sent again by a layer\n"
    )
    for way, counts in seen.grades.items():
        sys.stdout.write(f"{way:>14}: {dict(counts.most_common())}\n")
    sys.stdout.write(f"{'lost':>14}: {dict(seen.ways.most_common())}\n")
    for what in (*seen.wrong_proven[:20], *seen.wrong[:20], *seen.disagreements[:20]):
        sys.stdout.write(f"wrong: {what}\n")
    sys.stdout.write(
        f"{len(seen.wrong_proven)} wrong proven, {len(seen.wrong)} wrong where all layers report, "
        f"{len(seen.misled)} misled where some are silent, "
        f"{len(seen.disagreements)} disagreements with the ledger\n"
    )
    wrong = seen.wrong_proven or seen.wrong or seen.disagreements
    return 1 if wrong or min(seen.attributed_share, seen.named_share) < 0.999 else 0


def _progress(done: int) -> None:
    sys.stderr.write(f"\r{done} jobs")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
