"""The catalogue says all that is known, says where it is known from, and says what is not."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from pydantic import TypeAdapter

from whocut.chain import catalogue
from whocut.chain.layers import Role
from whocut.chain.preset_file import GROUPS, PresetEntry, presets_in
from whocut.chain.timers import TimerKind
from whocut.errors import BadFile, BadInput

if TYPE_CHECKING:
    from whocut.chain.preset_file import OtherTimer, TimerEntry

# What is known of 138 timers, with the place in the catalogue where each stands or the reason why it does not.
KNOWN = Path(__file__).with_name("known_timers.csv")
PRESETS = Path(catalogue.__file__).with_name("presets")


def timers_of(entry: PresetEntry) -> list[TimerEntry | OtherTimer]:
    """All that a preset says of timers."""
    return [*entry.timers.values(), *entry.other]


def rows() -> list[dict[str, str]]:
    """The known timers."""
    with KNOWN.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_known_timer_is_in_the_catalogue_or_left_out_for_a_reason() -> None:
    """No timer is forgotten: it stands under its directive, or the table says why not."""
    known = catalogue.catalogue()

    missing = [
        (row["layer"], row["timer"])
        for row in rows()
        if not row["omitted"]
        and row["directive"] not in {timer.directive for timer in timers_of(known[row["preset"]])}
    ]

    assert len(rows()) == 138
    assert missing == []


def test_every_known_limit_is_the_catalogue_s() -> None:
    """A limit stands in the catalogue as it was read."""
    known = catalogue.catalogue()
    for row in rows():
        if row["omitted"]:
            continue
        entry = known[row["preset"]]
        written = row["default_s"].split()[0] if row["default_s"] else "0"
        limit_s = float(written) or None

        limits = [timer.limit for timer in timers_of(entry) if timer.directive == row["directive"]]

        assert limit_s in limits, (row["layer"], row["timer"])


def test_what_is_known_from_memory_alone_is_marked_unverified() -> None:
    """A memory is never sold as a fact: not in the catalogue, and not in a chain."""
    known = catalogue.catalogue()
    for row in rows():
        if row["tag"] != "memory":
            continue
        entry = known[row["preset"]]

        tags = {timer.tag for timer in timers_of(entry) if timer.directive == row["directive"]}

        assert tags == {"memory"}, (row["layer"], row["timer"])
    assert not catalogue.preset("fly").timers[TimerKind.IDLE].verified


def test_there_are_at_least_45_layers_beside_their_plans() -> None:
    """Edges, balancers, proxies, platforms, servers and clients."""
    entries = {id(entry): entry for entry in catalogue.catalogue().values()}

    assert len(entries) >= 45
    assert {entry.group for entry in entries.values()} == set(GROUPS)


@pytest.mark.parametrize("name", sorted(catalogue.catalogue()))
def test_every_limit_has_a_directive_a_source_and_a_date(name: str) -> None:
    """Whoever doubts a figure can go and look."""
    entry, plan = catalogue.entry_of(name)
    for edition in catalogue.editions():
        layer = entry.layer(name, edition, plan)

        assert entry.source
        assert entry.read in {"2026-11-22", "2026-11-26", "2026-11-27"}
        for timer in layer.timers.values():
            assert timer.directive
            assert timer.source
            assert timer.set_to(300)
            assert timer.most_s is None or timer.most_s >= timer.limit_s


@pytest.mark.parametrize("name", sorted(catalogue.catalogue()))
def test_every_value_of_an_entry_has_its_type(name: str) -> None:
    """What the files say is read without a check of every value; this is the check."""
    entry, _ = catalogue.entry_of(name)

    assert repr(TypeAdapter(PresetEntry).validate_python(asdict(entry))) == repr(entry)
    assert all(200 <= answer.status <= 599 for answer in entry.answers.values())
    assert entry.retries.tries >= 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("tmers: {}", "unexpected keyword argument 'tmers'"),
        ("read: x", "missing 1 required keyword-only argument: 'source'"),
        ("timers: {idle: {directive: x}}", "missing 1 required keyword-only argument: 'limit'"),
        ("timers: {idle: {limit: 60, directive: x}}", "60 has no unit"),
        ("timers: {idle: {limit: 60s, directive: x, tag: dcos}}", "did you mean 'docs'"),
        ("timers: {idel: {limit: 60s, directive: x}}", "'idel' is not a valid TimerKind"),
        ("role: hob", "'hob' is not a valid Role"),
    ],
)
def test_a_mistake_in_an_entry_is_named_with_its_file_and_preset(
    tmp_path: Path, wrong: str, says: str
) -> None:
    """A field that is unknown or missing, a word that is misspelt."""
    fine = {"title": "x", "group": "proxy", "source": "x", "read": "x"}
    written = yaml.safe_load(wrong)
    entry = {**fine, **written} if "source" not in says else {"title": "x", "group": "proxy", **written}
    file = tmp_path / "presets.yaml"
    file.write_text(yaml.safe_dump({"mine": entry}))

    with pytest.raises(BadFile, match=re.escape(says)) as refused:
        presets_in(file)

    assert (refused.value.path, refused.value.field) == (str(file), "mine")


@pytest.mark.parametrize("name", sorted(catalogue.catalogue()))
def test_an_entry_is_found_without_the_other_files(name: str) -> None:
    """Layers and their plans are found, with what the whole catalogue says of them."""
    assert catalogue.find_entry(name) == catalogue.entry_of(name)[0]


def test_an_unknown_name_has_no_entry() -> None:
    """None, and no part of a name."""
    assert catalogue.find_entry("ngin") is None
    assert catalogue.find_entry("no such layer") is None


def test_a_preset_s_name_stands_in_one_file_only() -> None:
    """No file of the catalogue hides a name of another, and no plan hides a layer."""
    names = [
        name for path in PRESETS.glob("*.yaml") for name in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]
    plans = [f"{name}-{plan}" for name in names for plan in catalogue.catalogue()[name].variants]

    assert len(set(names + plans)) == len(names + plans)


def test_clients_are_clients_and_all_others_forward() -> None:
    """The role follows from the group."""
    for entry in catalogue.catalogue().values():
        assert (entry.role is Role.CLIENT) == (entry.group == "client")


def test_the_article_s_edition_keeps_the_article_s_figures() -> None:
    """NGINX 60, Azure SDK 180, Express 120, Cloudflare Free 100, Vercel Hobby 60, OpenAI SDK 600."""
    article = [
        ("nginx", TimerKind.FIRST_BYTE),
        ("azure-sdk", TimerKind.IDLE),
        ("express", TimerKind.FIRST_BYTE),
        ("cloudflare-free", TimerKind.FIRST_BYTE),
        ("vercel-hobby", TimerKind.TOTAL),
        ("openai-python", TimerKind.IDLE),
    ]

    limits = [catalogue.preset(name, "article-2026").limit_s(kind) for name, kind in article]

    assert limits == [60, 180, 120, 100, 60, 600]


def test_a_plan_is_the_layer_with_its_own_limits() -> None:
    """`supabase-edge-paid` is `supabase-edge` with another wall clock, and its title names the plan."""
    paid = catalogue.preset("supabase-edge-paid")

    assert paid.limit_s(TimerKind.TOTAL) == 400
    assert paid.limit_s(TimerKind.FIRST_BYTE) == 150
    assert paid.title == "Supabase Edge Functions (Paid)"


def test_a_timer_that_is_off_keeps_its_directive_when_it_is_set() -> None:
    """HAProxy has no `timeout server` by default; a chain that sets one knows the knob's name."""
    haproxy = catalogue.overridden(catalogue.preset("haproxy"), {TimerKind.IDLE: 50.0}, "chain.yaml:3")

    timer = haproxy.timers[TimerKind.IDLE]

    assert (timer.directive, timer.set_to(50)) == ("timeout server", "timeout server 50s")
    assert timer.source == "chain.yaml:3"


def test_a_misspelt_preset_is_answered_with_the_nearest() -> None:
    """Bad input names the way out."""
    for wrong, right in (
        ("ngnix", "nginx"),
        ("cloudflar", "cloudflare"),
        ("apache-debain", "apache-debian"),
        ("envoy_gateway", "envoy-gateway"),
    ):
        with pytest.raises(BadInput, match=f"did you mean '{right}'"):
            catalogue.preset(wrong)


@pytest.mark.parametrize("name", sorted(catalogue.without_limits()))
def test_a_product_that_exists_is_no_misspelling_of_another(name: str) -> None:
    """A name that is known to be another product's is answered by what to write instead."""
    with pytest.raises(BadInput) as refused:
        catalogue.preset(name)

    assert "did you mean" not in str(refused.value)
    assert "a layer of your own" in str(refused.value)
    assert name not in catalogue.catalogue()


def test_a_layer_is_found_by_its_other_names() -> None:
    """Netlify is its functions, Gemini is Google's SDK; the layer keeps the name that was written."""
    netlify = catalogue.preset("netlify")

    assert (netlify.name, netlify.preset) == ("netlify", "netlify-functions")
    assert catalogue.entry_of("gemini")[0].title == "Google Gen AI SDK"


NEW = [
    "envoy-gateway",
    "envoy-ai-gateway",
    "gateway-api",
    "new-api",
    "one-api",
    "bifrost",
    "portkey",
    "helicone",
    "ngrok-ai-gateway",
    "cloudflare-ai-gateway",
    "higress",
    "aibrix",
    "gcore",
    "open-webui",
    "dify",
    "openresty",
    "apisix",
    "azure-static-web-apps",
    "netlify",
    "openrouter",
    "fal-client",
    "google-genai",
    "replicate",
    "xai-sdk",
    "runwayml",
    "dotnet",
    "okhttp",
    "ruby",
    "reqwest",
    "litellm",
    "istio",
]


@pytest.mark.parametrize("name", NEW)
def test_what_stands_in_users_chains_is_known(name: str) -> None:
    """With a limit, with none by default, or with one that is said to be unknown."""
    entry, plan = catalogue.entry_of(name)

    assert entry.written(variant=plan)
    assert all(timer.limit or timer.limit is None for timer in entry.written(variant=plan).values())


def test_an_unknown_limit_is_no_missing_one() -> None:
    """What an implementation of the Gateway API does without `timeouts.request` is not known here."""
    layer = catalogue.preset("gateway-api")

    assert layer.unknown == {TimerKind.TOTAL: "timeouts.request"}
    assert layer.timers == {}


def test_a_gateway_that_sends_a_post_again_says_so() -> None:
    """Its router asks twice more, its SDK three times each; and a call runs on when its caller leaves."""
    litellm = catalogue.preset("litellm")

    assert (litellm.retries.tries, litellm.retries.post, litellm.retries.on_timeout) == (9, True, True)
    assert not litellm.notices_abort
    assert "cancel_on_disconnect" in litellm.knobs["abort"]


def test_help_does_not_read_the_catalogue() -> None:
    """`whocut --help` is quick because it reads no file."""
    code = (
        "from whocut.chain import catalogue; import whocut.cli, typer.testing as t;"
        "r = t.CliRunner().invoke(whocut.cli.app, ['--help']); assert r.exit_code == 0;"
        "print(catalogue.catalogue.cache_info().misses)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "0\n"
