"""Random worlds against the attributing code: the quick look; `make worlds` takes the long one."""

from __future__ import annotations

from tests.worlds.judge import look_at_worlds


def test_no_verdict_called_proven_is_wrong_and_all_are_attributed_where_all_layers_report() -> None:
    """1,000 requests through random chains: no wrong `proven`, at least 99.9 % attributed, honest grades."""
    seen = look_at_worlds(requests=1000, seed=20261122)

    assert seen.wrong_proven == []
    assert seen.wrong == []
    assert seen.disagreements == []
    assert seen.attributed_share >= 0.999
    assert (
        seen.proven_share["all spans"]
        > seen.proven_share["half of them"]
        > seen.proven_share["a few of them"]
    )
