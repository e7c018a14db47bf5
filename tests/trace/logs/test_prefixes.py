"""What a collector put before a line comes off, and what only looks like it stays."""

from __future__ import annotations

import pytest

from whocut.trace.logs.prefixes import forms_of

LINE = '192.0.2.9 - - [22/Nov/2026:11:05:00 +0000] "POST /x HTTP/1.1" 502 157 "-" "a"'


@pytest.mark.parametrize(
    "before",
    [
        '{app="nginx"} ',
        '{app="nginx", pod="nginx-6f7c-x2x9p", stream="stderr"} ',
        '{app="nginx",note="a \\"quoted\\" } one"}\t',
        "{} ",
        '2026-11-22T11:50:56Z {app="nginx", stream="stdout"} ',
        '2026-11-22T11:50:56.123456789+01:00 {app="nginx"} ',
    ],
)
def test_the_labels_of_a_stream_of_loki_come_off(before: str) -> None:
    """Grafana and its logcli put them before each line, behind an instant or alone."""
    assert forms_of(before + LINE)[-1] == LINE


@pytest.mark.parametrize(
    "line", ['{"app":"nginx"} x', '{app="nginx"}', '{app="nginx" x', "{app=nginx} x", "{ } x"]
)
def test_what_is_no_label_set_before_a_line_stays(line: str) -> None:
    """JSON quotes its names, and labels without a line behind them are no prefix."""
    assert forms_of(line) == (line,)
