"""Chain files: what they say, and every kind of mistake with its place and its sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from whocut.chain.audit import audit
from whocut.chain.catalogue import catalogue, editions, overridden, preset
from whocut.chain.chainfile import find_chain, read_topology, shipped_chains
from whocut.chain.forecast import forecast
from whocut.chain.layers import Layer, MidBody, Role
from whocut.chain.modes import MODES
from whocut.chain.plain import topology_from_plain, topology_to_plain
from whocut.chain.profiles import ARTICLE
from whocut.chain.timers import Phase, Timer, TimerKind
from whocut.errors import BadFile, BadInput

SHIPPED = Path(__file__).parents[2] / "scenarios" / "chains"


def written(tmp_path: Path, text: str) -> Path:
    """The text as a chain file."""
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_file_of_the_design_is_read(tmp_path: Path) -> None:
    """Client, layers by name and with changes, upstream."""
    path = written(
        tmp_path,
        "client: openai-python   # 600 s per read\n"
        "layers:\n"
        "  - cloudflare\n"
        "  - preset: nginx\n"
        "    timers: {idle: 300s, keepalive: none}\n"
        "upstream: gpt-image-2\n",
    )

    chain = read_topology(path)

    assert chain.name == "mine"
    assert [layer.name for layer in chain.layers] == ["openai-python", "cloudflare", "nginx"]
    nginx = chain.layer("nginx")
    assert nginx is not None
    assert nginx.limit_s(TimerKind.IDLE) == 300
    assert nginx.limit_s(TimerKind.FIRST_BYTE) == 300  # the same knob
    assert nginx.limit_s(TimerKind.KEEPALIVE) is None
    assert nginx.timers[TimerKind.IDLE].directive == "proxy_read_timeout"
    assert nginx.timers[TimerKind.IDLE].source == f"{path}:5"
    assert chain.upstream.model == "gpt-image-2"


def test_an_empty_chain_has_a_client_and_an_upstream(tmp_path: Path) -> None:
    """What is not written has a default."""
    chain = read_topology(written(tmp_path, "layers: []\n"))

    assert chain.client.name == "openai-python"
    assert chain.hops == ()
    assert chain.layer("nginx") is None


def test_two_layers_of_one_name_are_numbered(tmp_path: Path) -> None:
    """A verdict must name one layer."""
    chain = read_topology(
        written(tmp_path, "layers: [nginx, cloudflare, nginx, {preset: nginx, name: inner}]\n")
    )

    assert [layer.name for layer in chain.hops] == ["nginx-1", "cloudflare", "nginx-2", "inner"]


def test_an_edition_says_what_another_source_said(tmp_path: Path) -> None:
    """The article's figures beside today's."""
    chain = read_topology(written(tmp_path, "edition: article-2026\nlayers: [cloudflare, vercel]\n"))

    assert [layer.limit_s(TimerKind.FIRST_BYTE) for layer in chain.hops] == [100, None]
    assert chain.hops[1].limit_s(TimerKind.TOTAL) == 60


MISTAKES = {
    "an unknown preset": ("layers:\n  - nginz\n", ":2: layers[0]: ", "did you mean 'nginx'"),
    "an unknown preset with changes": (
        "layers:\n  - preset: nginz\n",
        ":2: layers[0]: ",
        "did you mean 'nginx'",
    ),
    "an unknown field": ("layer:\n  - nginx\n", ":1: layer: ", "did you mean 'layers'"),
    "an unknown field of a layer": (
        "layers:\n  - preset: nginx\n    timer: {idle: 3s}\n",
        ":3: layers[0].timer: ",
        "did you mean 'timers'",
    ),
    "an unknown timer": (
        "layers:\n  - preset: nginx\n    timers: {idel: 3s}\n",
        ":3: layers[0].timers",
        "did you mean 'idle'",
    ),
    "a limit of zero": (
        "layers:\n  - preset: nginx\n    timers:\n      idle: 0\n",
        ":4: layers[0].timers.idle: ",
        "write none for no timer",
    ),
    "a limit without a unit": (
        "layers:\n  - preset: nginx\n    timers: {idle: 60}\n",
        ":3: layers[0].timers.idle: ",
        "no unit",
    ),
    "a limit that is none": (
        "layers:\n  - preset: nginx\n    timers: {idle: soon}\n",
        ":3: layers[0].timers.idle: ",
        "write it like 60s",
    ),
    "a client among the layers": ("layers:\n  - openai-python\n", ":2: layers[0]: ", "is a client"),
    "a layer as client": ("client: nginx\n", ":1: client: ", "is a hop"),
    "an unknown edition": ("edition: article-2025\n", ":1: edition: ", "did you mean 'article-2026'"),
    "no preset": ("layers:\n  - name: x\n", ":2: layers[0]: ", "says neither `preset` nor `timers`"),
    "no name": ("layers:\n  - timers: {}\n", ":2: layers[0]: ", "the layer has no name; write `preset`"),
    "a preset's name alone": (
        "layers:\n  - name: nginx\n",
        ":2: layers[0]: ",
        "or `preset: nginx`",
    ),
    "an unknown knob": (
        "layers:\n  - preset: nginx\n    timers: {proxy_reed_timeout: 3s}\n",
        ":3: layers[0].timers.proxy_reed_timeout: ",
        "did you mean 'proxy_read_timeout'",
    ),
    "a knob of another vendor": (
        "layers:\n  - preset: envoy\n    timers: {proxy_read_timeout: 3s}\n",
        ":3: layers[0].timers.proxy_read_timeout: ",
        "there is no timer 'proxy_read_timeout'",
    ),
    "a knob that ends no slow answer": (
        "layers:\n  - preset: nginx\n    timers: {send_timeout: 3s}\n",
        ":3: layers[0].timers.send_timeout: ",
        "it cannot end a slow answer; leave it out",
    ),
    "a knob written twice": (
        "layers:\n  - preset: nginx\n    timers: {first_byte: 3s, proxy_read_timeout: 4s}\n",
        ":3: layers[0].timers.proxy_read_timeout: ",
        "it is `first_byte`, which is written already",
    ),
    "an answer of a client": (
        "client: {name: mine, timers: {}, answers: 504}\n",
        ":1: client.answers: ",
        "a client sends no answers",
    ),
    "an answer that is no status": (
        "layers: [{name: mine, timers: {}, answers: 700}]\n",
        ":1: layers[0].answers",
        "less than or equal to 599",
    ),
    "a preset and a gateway": (
        "layers: [{preset: nginx, gateway: nginx}]\n",
        ":1: layers[0]: ",
        "write one of them",
    ),
    "a gateway nobody knows": (
        "layers:\n  - gateway: ngnix\n",
        ":2: layers[0]: ",
        "there is no gateway 'ngnix' (did you mean 'nginx'?)",
    ),
    "a preset that is no gateway": (
        "layers:\n  - gateway: cloudflare\n",
        ":2: layers[0]: ",
        "there is no gateway 'cloudflare'; there are apache, caddy, envoy, haproxy",
    ),
    "a gateway as client": ("client: {gateway: nginx}\n", ":1: client: ", "is a hop"),
    "a gateway's own configuration, which this room cannot read": (
        "layers:\n  - gateway: nginx\n    config: ./nginx.conf\n",
        ":2: layers[0]: ",
        "is a file of another format; it is read by whocut.read_chain and the commands",
    ),
    "a gateway with two limits for one knob": (
        "layers:\n  - gateway: nginx\n    timers: {first_byte: 60s, idle: 300s}\n",
        ":2: layers[0]: ",
        "proxy_read_timeout is `first_byte` and `idle` at once",
    ),
    "a gateway with a total": (
        "layers:\n  - gateway: haproxy\n    timers: {total: 300s}\n",
        ":2: layers[0]: ",
        "HAProxy has no timer for the whole response",
    ),
    "a limit above the vendor's cap": (
        "layers:\n  - preset: vercel-hobby\n    timers:\n      total: 900s\n",
        ":4: layers[0].timers.total: ",
        "maxDuration of Vercel (Hobby) cannot be 15 min: the vendor allows at most 300 s",
    ),
    "a vendor's fixed limit taken away": (
        "layers:\n  - preset: cloudflare-free\n    timers: {first_byte: none}\n",
        ":3: layers[0].timers.first_byte: ",
        "cannot be taken away: the vendor allows at most 120 s",
    ),
    "a gateway with other manners": (
        "layers:\n  - gateway: nginx\n    buffering: none\n",
        ":3: layers[0].buffering: ",
        "write `preset: nginx`",
    ),
    "layers that are no list": ("layers: nginx\n", ":1: layers: ", "list"),
    "a list": ("- nginx\n", ":1: ", "names client, layers and upstream"),
    "nothing": ("", ":1: ", "names client, layers and upstream"),
    "a sentence": ("nginx in front\n", ":1: ", "names client, layers and upstream"),
    "no YAML": ("layers: [nginx\n", ":2: ", "expected"),
    "a tab": ("layers:\n\t- nginx\n", ":2: ", "cannot start any token"),
}


@pytest.mark.parametrize(("text", "place", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, place: str, sentence: str) -> None:
    """File, line, field, what is wrong, and the nearest right spelling."""
    path = written(tmp_path, text)

    with pytest.raises(BadFile) as refused:
        read_topology(path)

    assert str(refused.value).startswith(f"{path}{place}")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    """Missing, a folder, not text, far too large: one sentence each."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 1_000_001)

    for path, sentence in (
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "Is a directory"),
        (binary, "not UTF-8"),
        (large, "larger than a megabyte"),
    ):
        with pytest.raises(BadFile, match=sentence):
            read_topology(path)


def test_a_hostile_file_is_refused_like_any_other(tmp_path: Path) -> None:
    """Python tags and bombs of nesting are not YAML that we read."""
    for text in ("layers: !!python/object/apply:os.system [true]\n", "[" * 5000):
        with pytest.raises(BadFile):
            read_topology(written(tmp_path, text))


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_chain_is_right(path: Path) -> None:
    """What comes with the package can be read, and is found by its name."""
    assert read_topology(path).name == path.stem
    assert find_chain(path.stem, SHIPPED) == path
    assert path.stem in shipped_chains(SHIPPED)


def test_a_chain_is_found_by_name_or_path(tmp_path: Path) -> None:
    """A name of a shipped one, a path, or the nearest spelling."""
    path = written(tmp_path, "layers: []\n")

    assert find_chain(str(path), SHIPPED) == path
    with pytest.raises(BadInput, match="did you mean 'article'"):
        find_chain("articel", SHIPPED)


def test_every_preset_is_whole() -> None:
    """Positive limits, directives by name, a source for each; unverified where somebody only remembers."""
    for name in catalogue():
        for edition in editions():
            layer = preset(name, edition)
            assert layer.name == name
            for timer in layer.timers.values():
                assert timer.limit_s > 0
                assert timer.directive
                assert timer.source


def test_every_hop_answers_something_when_the_upstream_ends_first() -> None:
    """A hop of the catalogue knows its own page for a bad gateway, or shares ours knowingly."""
    for name in catalogue():
        layer = preset(name)
        for event, answer in layer.answers.items():
            assert event in {"expiry", "bad_gateway", "bad_request", *TimerKind}, f"{name} answers {event}"
            assert 200 <= answer.status <= 599
        assert layer.role in Role


def test_an_unknown_preset_is_named_with_the_nearest() -> None:
    """And the way to see them all."""
    with pytest.raises(BadInput, match=r"did you mean 'cloudflare'.*whocut presets"):
        preset("cloudflar")


def test_a_plan_is_a_variant_of_its_layer() -> None:
    """Another plan, the same layer, under its own title."""
    assert preset("vercel-hobby").title == "Vercel (Hobby)"
    assert preset("vercel-hobby").limit_s(TimerKind.TOTAL) == preset("vercel").limit_s(TimerKind.TOTAL)


def test_an_override_keeps_the_directive_and_takes_timers_away() -> None:
    """By hand: another limit under the same name, a timer of the layer's own, or none."""
    changed = overridden(
        preset("nginx"), {TimerKind.IDLE: 5.0, TimerKind.TOTAL: 9.0, TimerKind.CONNECT: None}, "here"
    )

    assert changed.timers[TimerKind.IDLE].named_in(Phase.SEND) == "proxy_send_timeout"
    assert changed.timers[TimerKind.TOTAL].directive == "total"
    assert TimerKind.CONNECT not in changed.timers


def test_a_knob_that_is_two_timers_is_turned_as_one() -> None:
    """Who writes one of them means the knob; who writes both means both."""
    both: dict[TimerKind, float | None] = {TimerKind.FIRST_BYTE: 9.0, TimerKind.IDLE: 5.0}

    moved = overridden(preset("nginx"), {TimerKind.IDLE: 5.0}, "here")
    taken = overridden(preset("nginx"), {TimerKind.FIRST_BYTE: None}, "here")
    apart = overridden(preset("nginx"), both, "here")

    assert [moved.limit_s(kind) for kind in both] == [5, 5]
    assert moved.timers[TimerKind.FIRST_BYTE].source == "here"
    assert [taken.limit_s(kind) for kind in both] == [None, None]
    assert [apart.limit_s(kind) for kind in both] == [9, 5]
    assert moved.limit_s(TimerKind.CONNECT) == preset("nginx").limit_s(TimerKind.CONNECT)


@pytest.mark.parametrize("name", ["haproxy", "requests", "http-proxy-middleware", "apache"])
@pytest.mark.parametrize("kind", [TimerKind.FIRST_BYTE, TimerKind.IDLE])
def test_a_knob_that_is_off_by_default_is_turned_as_one_too(name: str, kind: TimerKind) -> None:
    """HAProxy's `timeout server` is the wait and the silence later on, also where no file says it yet."""
    moved = overridden(preset(name), {kind: 60.0}, "here")

    knob = {k for k, timer in moved.timers.items() if timer.directive == moved.timers[kind].directive}
    assert {TimerKind.FIRST_BYTE, TimerKind.IDLE} <= knob
    assert {moved.limit_s(k) for k in knob} == {60}


def test_the_readme_s_own_chain_is_taken(tmp_path: Path) -> None:
    """What the README shows can be pasted: its real HAProxy has one limit for both silences."""
    readme = (SHIPPED.parents[1] / "README.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in readme.split("```yaml\n")[1:]]

    for block in blocks:
        chain = read_topology(written(tmp_path, block))

        haproxy = chain.layer("haproxy")
        assert haproxy is not None
        assert [haproxy.limit_s(kind) for kind in (TimerKind.FIRST_BYTE, TimerKind.IDLE)] == [60, 60]
    assert blocks


def test_a_limit_of_zero_is_refused() -> None:
    """None is no timer; zero is a mistake."""
    with pytest.raises(ValueError, match="positive"):
        Timer(kind=TimerKind.IDLE, limit_s=0, directive="x")
    assert Layer(name="a", title="A").limit_s(TimerKind.IDLE) is None


def test_a_phase_reads_as_a_sentence() -> None:
    """Each phase has its words."""
    assert [phase.while_ for phase in Phase] == [
        "while connecting",
        "while sending the request",
        "while waiting",
        "while streaming",
    ]


@pytest.mark.parametrize("said", ["", ", post: true", ", on_timeout: true", ", post: true, on_timeout: true"])
def test_envoy_s_timer_of_one_try_has_one_meaning(tmp_path: Path, said: str) -> None:
    """A retry policy of three tries with a per_try_timeout of 40 s: nine generations, however it is spelled."""
    chain = read_topology(
        written(
            tmp_path,
            "layers:\n  - preset: envoy\n    timers: {first_byte: 40s, total: 200s}\n"
            f"    retries: {{tries: 3{said}}}\n",
        )
    )

    figures = forecast(chain, ARTICLE["1024-high"], MODES["plain"], requests=100)

    assert chain.hops[0].timers[TimerKind.FIRST_BYTE].directive == "per_try_timeout"
    assert figures.generations_per_request == 9


def test_envoy_tries_nothing_again_without_a_timer_of_one_try(tmp_path: Path) -> None:
    """Its route timeout and its idle timeout end the whole request: the tries are said to have no effect."""
    chain = read_topology(
        written(tmp_path, "layers:\n  - preset: envoy\n    retries: {tries: 3, on_timeout: true}\n")
    )

    (finding,) = [
        found for found in audit(chain, ARTICLE["1024-high"]) if found.code == "tries-without-effect"
    ]

    assert (finding.fix, finding.line) == ("set per_try_timeout (first_byte)", 3)
    assert forecast(chain, ARTICLE["1024-high"], MODES["plain"], requests=100).generations_per_request == 3


def test_envoy_s_idle_timer_runs_in_the_wait_too(tmp_path: Path) -> None:
    """With 300 s of stream_idle_timeout a per_try_timeout of 400 s is never reached."""
    chain = read_topology(
        written(tmp_path, "layers:\n  - preset: envoy\n    timers: {first_byte: 400s, total: none}\n")
    )

    assert TimerKind.FIRST_BYTE not in chain.hops[0].timers
    assert not chain.hops[0].retries.on_timeout


def test_a_knob_is_turned_by_its_vendor_s_name(tmp_path: Path) -> None:
    """In full, by its last words, in any spelling: the limit is that of the timers that the knob is."""
    chain = read_topology(
        written(
            tmp_path,
            "layers:\n"
            "  - {preset: nginx, timers: {proxy_read_timeout: 300s}}\n"
            "  - {preset: haproxy, timers: {timeout server: 240s}}\n"
            "  - {preset: traefik, timers: {responseHeaderTimeout: 200s}}\n"
            "  - {preset: ingress-nginx, timers: {proxy_read_timeout: 180s}}\n",
        )
    )

    limits = [[hop.limit_s(TimerKind.FIRST_BYTE), hop.limit_s(TimerKind.IDLE)] for hop in chain.hops]
    assert limits == [[300, 300], [240, 240], [200, None], [180, 180]]


def test_a_layer_of_one_s_own_borrows_no_preset(tmp_path: Path) -> None:
    """Its name, its timers with the names of their knobs, and what it answers: nothing else is known of it."""
    path = written(
        tmp_path,
        "layers:\n"
        "  - name: our-worker\n"
        "    timers:\n"
        "      idle: 60s\n"
        "      total: {limit: 150s, directive: JOB_TIMEOUT, knob: 'JOB_TIMEOUT={s}', most: 300s}\n"
        "    answers: {status: 504, body: timed out}\n"
        "    mid_body: rst\n"
        "    leaves_work: true\n",
    )

    (worker,) = read_topology(path).hops

    assert (worker.name, worker.title, worker.preset) == ("our-worker", "our-worker", "")
    total, idle = worker.timers[TimerKind.TOTAL], worker.timers[TimerKind.IDLE]
    assert (total.directive, total.set_to(240), total.most_s) == ("JOB_TIMEOUT", "JOB_TIMEOUT=240", 300)
    assert (total.file, total.line, idle.directive, idle.line) == (str(path), 5, "idle", 4)
    assert (worker.answers["expiry"].status, worker.answers["expiry"].reason) == (504, "Gateway Timeout")
    assert (worker.mid_body, worker.leaves_work) == (MidBody.RST, True)


@pytest.mark.parametrize(
    ("written_answers", "events"),
    [
        ("504", {"expiry": 504}),
        ("{status: 503, reason: busy}", {"expiry": 503}),
        ("{expiry: {status: 504}, bad_gateway: {status: 599}}", {"expiry": 504, "bad_gateway": 599}),
    ],
)
def test_an_answer_is_a_status_or_more(tmp_path: Path, written_answers: str, events: dict[str, int]) -> None:
    """One for every timer, or one for each event."""
    path = written(tmp_path, f"layers: [{{name: mine, timers: {{}}, answers: {written_answers}}}]\n")

    (mine,) = read_topology(path).hops

    assert {event: answer.status for event, answer in mine.answers.items()} == events


def test_a_client_of_one_s_own_has_timers_and_tries(tmp_path: Path) -> None:
    """No SDK's: one try, unless the file says more."""
    chain = read_topology(written(tmp_path, "client: {name: our-cli, timers: {total: 120s}}\n"))

    assert (chain.client.role, chain.client.limit_s(TimerKind.TOTAL)) == (Role.CLIENT, 120)
    assert chain.client.retries.tries == 1


def test_a_layer_with_another_name_is_told_by_both(tmp_path: Path) -> None:
    """What is said of it begins with its own name."""
    chain = read_topology(
        written(tmp_path, "layers: [{preset: node, name: image-worker, timers: {total: 150s}}]\n")
    )

    (finding,) = [found for found in audit(chain, ARTICLE["1024-high"]) if found.code == "total-kills-stream"]
    assert finding.layer == "image-worker"
    assert finding.why.startswith("image-worker (Node http) ends every answer after 150 s")
    assert finding.directive == "total"


def test_a_limit_can_be_unknown(tmp_path: Path) -> None:
    """Unknown is not `no timer`: nothing is forecast of it, and a finding says so."""
    chain = read_topology(
        written(
            tmp_path,
            "layers:\n"
            "  - {name: theirs, timers: {idle: unknown}}\n"
            "  - {preset: nginx, timers: {idle: unknown}}\n",
        )
    )

    theirs, nginx = chain.hops
    assert (theirs.timers, theirs.unknown) == ({}, {TimerKind.IDLE: "idle"})
    assert nginx.unknown == dict.fromkeys((TimerKind.IDLE, TimerKind.FIRST_BYTE), "proxy_read_timeout")
    assert [
        (found.layer, found.directive)
        for found in audit(chain, ARTICLE["1024-high"])
        if found.code == "unknown-limit"
    ] == [("theirs", "idle"), ("nginx", "proxy_read_timeout")]
    assert topology_from_plain(topology_to_plain(chain)) == chain


def test_a_gateway_is_the_preset_of_its_name_in_person(tmp_path: Path) -> None:
    """Its limits are the catalogue's, an edition's or the file's, and plain data carries what it is."""
    path = written(
        tmp_path,
        "edition: article-2026\n"
        "layers:\n"
        "  - gateway: nginx\n"
        "  - gateway: haproxy\n"
        "    name: inner\n"
        "    timers: {first_byte: 50s, idle: 50s}\n",
    )

    chain = read_topology(path)

    nginx, haproxy = chain.hops
    assert (nginx.name, nginx.gateway, nginx.preset) == ("nginx", "nginx", "nginx")
    assert nginx.timers[TimerKind.IDLE].source == "the article: NGINX default 60s"
    assert (haproxy.name, haproxy.gateway, haproxy.limit_s(TimerKind.IDLE)) == ("inner", "haproxy", 50)
    assert topology_from_plain(topology_to_plain(chain)) == chain
