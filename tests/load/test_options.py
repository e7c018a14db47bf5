"""What may be said in Locust's start form, and what on its command line alone."""

from __future__ import annotations

import argparse

import pytest

from whocut.errors import BadInput
from whocut.load.options import OPTIONS, add_options, as_arguments, consent_in, hold_to

PLACES = {"--out", "--port", "--listen", "--local-chain", "--quota-in"}
MONEY = {"--to", "--budget-usd", "--max-requests", "--account", "--new-account", "--free", "--breaker"}


def parsed(*written: str) -> argparse.Namespace:
    """What Locust hands over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    add_options(parser, None)
    return parser.parse_args(written)


def test_form_holds_every_option_but_those_that_spend_money() -> None:
    """Whoever reaches the page is not who pays."""
    parser = argparse.ArgumentParser()

    add_options(parser, None)

    flags = {option.dest: option.flag for option in OPTIONS}
    shown = {flags[a.dest] for a in parser._actions if getattr(a, "include_in_web_ui", False)}
    assert shown == {option.flag for option in OPTIONS} - MONEY - PLACES


@pytest.mark.parametrize(
    ("field", "value", "flag"),
    [
        ("whocut_to", "https://api.example/v1", "--to"),
        ("whocut_budget_usd", "1000", "--budget-usd"),
        ("whocut_max_requests", "9999", "--max-requests"),
        ("whocut_account", "other.jsonl", "--account"),
        ("whocut_new_account", True, "--new-account"),
        ("host", "https://api.example/v1", "--host"),
        ("whocut_out", "/etc/cron.d", "--out"),
        ("whocut_port", "22", "--port"),
        ("whocut_listen", "0.0.0.0", "--listen"),
        ("whocut_quota_in", "redis://elsewhere", "--quota-in"),
        ("whocut_requests", "100000", "--requests"),
    ],
)
def test_consent_to_spend_is_not_taken_from_the_page(field: str, value: object, flag: str) -> None:
    """Posted all the same, it is refused with a sentence, and nothing is asked."""
    options = parsed("--to", "https://api.openai.com/v1", "--budget-usd", "2")
    consent = consent_in(options)

    setattr(options, field, value)

    with pytest.raises(BadInput, match=f"{flag} is not taken from Locust's page"):
        hold_to(consent, options)


def test_what_was_said_on_the_command_line_holds_for_every_test() -> None:
    """The form sends its empty host along, and other options may change."""
    options = parsed("--to", "https://api.openai.com/v1", "--budget-usd", "2")
    consent = consent_in(options)

    options.host, options.whocut_mode = "", "plain,stream"
    hold_to(consent, options)

    said = list(as_arguments(options))
    assert said[:4] == ["--mode", "plain", "--mode", "stream"]
    assert said[4:] == ["--to", "https://api.openai.com/v1", "--budget-usd", "2"]


@pytest.mark.parametrize("chain", ["/etc/shadow", "../mine.yaml", "x\n"])
def test_the_page_names_no_file_as_a_chain(chain: str) -> None:
    """A refusal would quote the file; the sentence holds nothing of it."""
    options = parsed()
    consent = consent_in(options)

    options.whocut_chain = chain

    with pytest.raises(BadInput, match="A chain file is not taken from Locust's page") as caught:
        hold_to(consent, options, chain_at_start=None)
    assert chain not in str(caught.value)


def test_a_misspelt_chain_is_named_with_the_nearest_one() -> None:
    """A name is no path, and may be said."""
    options = parsed()
    consent = consent_in(options)

    options.whocut_chain = "artcle"

    with pytest.raises(BadInput, match=r"no chain 'artcle' \(did you mean 'article'\?\)"):
        hold_to(consent, options, chain_at_start=None)


@pytest.mark.parametrize(("chain", "at_start"), [("article", None), ("mine.yaml", "mine.yaml"), (None, None)])
def test_a_shipped_chain_and_the_one_of_the_start_are_taken(chain: str | None, at_start: str | None) -> None:
    """The form may choose among the shipped ones, and leave what the command line named."""
    options = parsed()
    options.whocut_chain = chain

    hold_to(consent_in(options), options, at_start)

    assert options.whocut_chain == chain


def test_locust_listens_on_the_loopback() -> None:
    """Its page and its master, unless the command line opens them."""
    assert (parsed().web_host, parsed().master_bind_host) == ("127.0.0.1", "127.0.0.1")


def test_master_listens_where_it_is_told_in_so_many_words() -> None:
    """On the loopback otherwise; and the harness around it is told the same."""
    options = parsed("--listen", "10.0.0.1:7000", "--local-chain")

    assert parsed().master_bind_host == "127.0.0.1"
    assert (options.master_bind_host, options.master_bind_port) == ("10.0.0.1", 7000)
    assert list(as_arguments(options)) == ["--listen", "10.0.0.1:7000", "--local-chain"]
    with pytest.raises(SystemExit):
        parsed("--listen", "everywhere")
