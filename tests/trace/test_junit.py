"""JUnit XML: what a CI server reads of it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from whocut.cli.finished import finding_of
from whocut.run.finish import as_junit, unusable
from whocut.trace.junit import Case, junit

CASES = (
    Case("delivered>=0.99", failure="delivered>=0.99 is wanted, measured: 0.5", details=("runs/x",)),
    Case("p95_s<300"),
    Case("advice", skipped="missing: it is only advice"),
)


def test_the_counts_are_those_of_the_cases() -> None:
    """Jenkins refuses a suite without them; a case has a name and a class, or GitLab folds all into one."""
    suite = ET.fromstring(junit("whocut a b", "whocut.run", CASES))

    assert suite.tag == "testsuite"
    assert suite.attrib == {
        "name": "whocut a b",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    assert [(case.get("classname"), case.get("name")) for case in suite] == [
        ("whocut.run", "delivered>=0.99"),
        ("whocut.run", "p95_s<300"),
        ("whocut.run", "advice"),
    ]
    assert [[child.tag for child in case] for case in suite] == [["failure"], [], ["skipped"]]


def test_a_failure_says_its_sentence_twice() -> None:
    """Jenkins shows the attribute, GitLab the text alone."""
    failure = ET.fromstring(junit("s", "c", CASES)).find("testcase/failure")

    assert failure is not None
    assert failure.get("message") == "delivered>=0.99 is wanted, measured: 0.5"
    assert failure.text == "delivered>=0.99 is wanted, measured: 0.5\nruns/x"


def test_what_xml_cannot_hold_is_left_out() -> None:
    """A program's last words may be coloured, hold a NUL or half a character: the file stays readable."""
    case = Case("valid", failure="\x1b[31mdied\x1b[0m: \x00<oops> & \ud800 “fin”")

    failure = ET.fromstring(junit("s", "c", [case])).find("testcase/failure")

    assert failure is not None
    assert failure.text == "died: <oops> &  “fin”"


@pytest.mark.parametrize("holds", [True, False], ids=["kept", "broken"])
@pytest.mark.parametrize("warnings", [[], ["the loop stalled"]], ids=["valid", "invalid"])
@pytest.mark.parametrize("unusable", [None, "none of 6 requests was delivered"], ids=["usable", "unusable"])
def test_a_script_and_a_ci_server_hear_the_same(
    holds: bool,  # noqa: FBT001
    warnings: list[str],
    unusable: str | None,
) -> None:
    """A run has a finding, and so exit code 1, exactly where its file has a failed case, and says why."""
    summary = {
        "scenario": "a",
        "chain": "b",
        "run_dir": "runs/x",
        "thresholds": [{"want": "p95_s<300", "holds": holds, "measured": 301.0}],
        "valid": not warnings,
        "warnings": warnings,
        "unusable": unusable,
    }

    finding, suite = finding_of(summary), ET.fromstring(as_junit(summary))

    assert (finding is None) == (suite.get("failures") == "0")
    assert ("broken thresholds: p95_s<300 (measured: 301)" in (finding or "")) is not holds
    assert ("not valid: the loop stalled" in (finding or "")) is bool(warnings)
    assert ("none of 6 requests was delivered" in (finding or "")) is bool(unusable)


def test_a_time_that_nothing_took_is_said_in_words() -> None:
    """No image came: a script and a CI server read that, and not the word None."""
    summary = {
        "scenario": "a",
        "chain": "b",
        "run_dir": "runs/x",
        "thresholds": [{"want": "p95_s<300", "holds": False, "measured": None}],
        "valid": True,
        "warnings": [],
        "unusable": None,
    }

    finding, (case, *_) = finding_of(summary), ET.fromstring(as_junit(summary))

    assert finding == "broken thresholds: p95_s<300 (nothing was measured)"
    assert [failure.get("message") for failure in case] == ["p95_s<300 is wanted, nothing was measured"]


@pytest.mark.parametrize(
    ("wants", "outcomes", "said"),
    [
        ([], {"gateway_error": 6}, True),
        ([], {"gateway_error": 5, "delivered": 1}, False),
        ([], {}, False),  # nothing was asked
        ([("delivered<=0.1", True)], {"gateway_error": 6}, False),  # that was wanted
        ([("p95_s<300", True)], {"gateway_error": 6}, True),
    ],
)
def test_a_run_that_delivered_nothing_answers_nothing(
    wants: list[tuple[str, bool]],
    outcomes: dict[str, int],
    said: bool,  # noqa: FBT001
) -> None:
    """No delivery at all is a finding, unless a threshold has asked for it."""
    figures = {
        "requests": sum(outcomes.values()),
        "outcomes": outcomes,
        "thresholds": [{"want": want, "holds": holds} for want, holds in wants],
    }

    assert (unusable(figures) or "").startswith("none of 6 requests was delivered") is said
