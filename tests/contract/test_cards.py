"""The score cards: the pages are those of the record, and what mends a client is what was tried."""

from __future__ import annotations

from tests.contract.cards import page
from tests.contract.cards.known import CORE, KNOWN, NODE, PYTHON
from tests.contract.cards.places import CLIENTS
from whocut.contract.checks import BY_ID

ENTRIES = page.read_record()


def test_the_page_is_made_of_the_record() -> None:
    """No figure on it is written by hand."""
    assert page.PAGE.read_text() == page.page(ENTRIES)


def test_the_readme_s_table_is_made_of_the_record() -> None:
    """The same figures for fewer clients."""
    assert page.readme_table(ENTRIES) in page.README.read_text()


def test_there_are_twenty_clients_with_version_day_and_command() -> None:
    """Each can be measured again."""
    assert len(ENTRIES) >= 20
    for entry in ENTRIES:
        assert entry["version"]
        assert entry["date"]
        assert entry["command"].startswith("whocut policy ")


def test_what_breaks_the_contract_has_a_line_that_was_proved_to_mend_it() -> None:
    """With the line, none of the checks that were broken still is."""
    for entry in ENTRIES:
        broken = [one["id"] for one in entry["checks"] if one["mark"] == "broken"]
        after = {one["id"]: one["mark"] for one in entry["mended"] or ()}
        assert not broken or entry["mend"], entry["client"]
        assert {after.get(check) for check in broken} <= {"kept"}, (entry["client"], after)


def test_each_mending_line_stands_in_its_script() -> None:
    """What is advised is what the script does where it is asked to."""
    for known in KNOWN:
        if known.mend is not None and known.script:
            assert known.mend in (CLIENTS / known.script).read_text(), known.name


def test_the_table_names_places_and_checks_that_exist() -> None:
    """No client is installed nowhere, and none is put to a check that is not there."""
    for known in KNOWN:
        assert known.makes is not None or not known.place or known.place in {*PYTHON, *NODE}, known.name
        assert set(known.checks or CORE) <= set(BY_ID), known.name
        assert known.makes is not None or (CLIENTS / known.script).exists()


def test_a_cell_tells_count_cost_and_waits() -> None:
    """How often, how much, how long."""
    one = {
        "id": "unknown-504",
        "mark": "broken",
        "attempts": 3,
        "at_least": None,
        "billed_usd": 0.632205,
        "waits_s": [0.48, 0.91],
    }
    entry = {"client": "a client", "version": "1.0", "checks": [one]}

    row = page.table([entry], ("unknown-504",)).splitlines()[-1]

    assert row == "| a client 1.0 | **3 times, $0.63**; after 480 ms, 910 ms |"
