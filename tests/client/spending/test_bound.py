"""The most an attempt can cost, held against what the mock upstream, which keeps its own table, bills for it."""

from __future__ import annotations

import io
from typing import Any

import openai
import orjson
import pytest
from PIL import Image

from whocut.client.spending.bound import FREE, NotPriced, Price, cost_of, price_of, price_of_images
from whocut.client.transports import wire
from whocut_mock.models import FIXED_SIZES, MODELS, Model
from whocut_mock.usage import reference_tokens, usage_of

FREE_SIZES = [(1024, 1024), (1536, 1024), (2048, 2048), (3840, 2160), (2880, 2880), (1280, 3840)]
ASKED = [
    (model, width, height, quality)
    for model in MODELS.values()
    for width, height in (FREE_SIZES if model.free_sizes else FIXED_SIZES)
    for quality in model.qualities
]


@pytest.mark.parametrize(
    ("prompt", "n", "partials"), [("a cat", 1, 0), ("a cat", 10, 0), ("ж" * 32_000, 1, 3)]
)
@pytest.mark.parametrize(
    ("model", "width", "height", "quality"), ASKED, ids=lambda value: getattr(value, "name", str(value))
)
def test_no_bill_is_above_the_bound(
    model: Model, width: int, height: int, quality: str, prompt: str, n: int, partials: int
) -> None:
    """Every model, size and quality the mock sells, with many images, partial images and the longest prompt."""
    asked = {"model": model.name, "size": f"{width}x{height}", "quality": quality, "prompt": prompt, "n": n}
    bill = usage_of(model, prompt=prompt, quality=quality, size=(width, height), n=n, partial_images=partials)

    price = price_of_images(asked | {"stream": n == 1, "partial_images": partials})
    cost = cost_of(bill.json, price)

    assert cost is not None
    assert bill.nano_usd <= cost <= price.nano_usd


def used(came_in: object, went_out: object) -> dict[str, object]:
    """An answer's account of itself."""
    return {"input_tokens": came_in, "output_tokens": went_out}


AUTO = {"prompt": "a cat", "n": 2}  # two images of whatever size and quality


@pytest.mark.parametrize(
    ("asked", "usage"),
    [
        ({"model": "gpt-image-2", "size": "1024x1024", "quality": "high"}, used(0, 0)),
        ({"model": "gpt-image-2", "size": "1024x1024", "quality": "high"}, used(10, 7023)),
        ({"model": "gpt-image-2", "size": "1024x1024", "quality": "high"}, used(0, 7024)),
        ({"model": "gpt-image-2", "size": "1024x1024", "quality": "high"}, used(10.0, 7024.5)),
        ({"model": "gpt-image-2", **AUTO}, used(10, 107)),
        ({"model": "gpt-image-1.5", **AUTO}, used(10, 543)),
        ({"model": "gpt-image-2.6-flare", **AUTO}, used(10, 107)),
        ({"model": "gpt-image-7", **AUTO}, used(10, 0)),
        ({"model": "gpt-image-2", "stream": True, **AUTO}, used(10, 7024)),
    ],
    ids=str,
)
def test_a_usage_below_what_was_delivered_is_not_understood(asked: dict[str, Any], usage: object) -> None:
    """Zeros, a token too few, one image's of several: nothing is given back on such a word."""
    assert cost_of(usage, price_of_images({"prompt": "a cat"} | asked)) is None


@pytest.mark.parametrize("model", ["gpt-image-2", "gpt-image-2.5-flare", "gpt-image-1.5", "gpt-image-1-mini"])
def test_the_least_there_is_is_believed(model: str) -> None:
    """What nothing is said of may have come out at the smallest size and the lowest quality, and costs that."""
    price = price_of_images({"model": model, **AUTO})

    cost = cost_of(used(price.least_in, price.least_out), price)

    assert price.least_out > 0
    assert cost is not None
    assert 0 < cost < price.nano_usd


@pytest.mark.parametrize("tokens", [10**9, 10**15, 10**30, 1e30, 10**400, float("inf")])
@pytest.mark.parametrize("model", ["gpt-image-2", "gpt-image-1-mini", "gpt-image-7"])
def test_a_usage_beyond_all_measure_is_above_the_bound_and_can_be_written(model: str, tokens: float) -> None:
    """No sum overflows a line of the account, and the guard sees that the bound does not hold."""
    price = price_of_images({"model": model, "prompt": "a cat"})

    for usage in (used(10, tokens), used(tokens, 7024)):
        cost = cost_of(usage, price)
        assert cost is not None
        assert price.nano_usd < cost < 2**63


@pytest.mark.parametrize(
    ("model", "usd"), [("gpt-image-2", 0.211), ("gpt-image-1.5", 0.133), ("gpt-image-1-mini", 0.036)]
)
def test_the_bound_of_what_is_known_is_the_published_price(model: str, usd: float) -> None:
    """It is no looser than it must be: within a per cent or two of the price per image of the model's page."""
    price = price_of_images({"model": model, "prompt": "a cat", "size": "1024x1024", "quality": "high"})

    assert price.nano_usd / 1e9 == pytest.approx(usd, rel=0.02)


@pytest.mark.parametrize(
    "changed",
    [
        {"model": None},
        {"model": "gpt-image-7"},
        {"size": None},
        {"size": "auto"},
        {"size": "9999x9999"},
        {"size": "16x16"},
        {"quality": None},
        {"quality": "auto"},
        {"quality": "hd"},
        {"n": "many"},
        {"n": 3.5},
        {"partial_images": "all"},
    ],
    ids=str,
)
def test_what_is_not_said_is_the_dearest(changed: dict[str, Any]) -> None:
    """Left out, `auto`, misspelt: never below the same request said plainly, at its dearest."""
    said = {"model": "gpt-image-2", "prompt": "a cat", "size": "1024x1024", "quality": "low"}

    assert price_of_images(said | changed).nano_usd > price_of_images(said).nano_usd
    if "size" in changed:
        largest = price_of_images(said | {"size": "2880x2880"})
        assert price_of_images(said | changed).nano_usd == largest.nano_usd
    if "quality" in changed:
        assert (
            price_of_images(said | changed).nano_usd == price_of_images(said | {"quality": "high"}).nano_usd
        )


def test_a_model_without_published_tokens_is_the_dearest_at_a_known_price() -> None:
    """gpt-image-2.6: its prices are known, and how many tokens its qualities take is not."""
    said = {"prompt": "a cat", "size": "1024x1024", "quality": "low"}

    newest = price_of_images(said | {"model": "gpt-image-2.6-flare"})

    assert newest.nano_usd == price_of_images(said | {"model": "gpt-image-2", "quality": "high"}).nano_usd


@pytest.mark.parametrize(
    "asked",
    [
        {"output_format": "svg"},
        {"output_format": ["gif"]},
        {"output_format": "gif", "frame_count": 16},
        {"frame_count": 16},
        {"svg": {"model": "gpt-5"}},
    ],
    ids=str,
)
def test_what_has_no_published_price_is_not_priced(asked: dict[str, Any]) -> None:
    """A guess would be no bound: it stays at home, and the sentence says why."""
    with pytest.raises(NotPriced, match="no published price"):
        price_of_images({"model": "gpt-image-2.6-flare", "prompt": "a cat"} | asked)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/v1/images/variations"])
def test_an_endpoint_without_a_bound_is_not_priced(path: str) -> None:
    """Text models write as much as they like."""
    with pytest.raises(NotPriced, match="no price that could be known before"):
        price_of("POST", path, "application/json", b"{}")


def test_looking_costs_nothing() -> None:
    """A list of models is free."""
    assert price_of("GET", "/v1/models", "", b"") == FREE


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model"'])
def test_a_body_that_cannot_be_read_is_not_priced(body: bytes) -> None:
    """What is not understood is not sent."""
    with pytest.raises(NotPriced, match="no JSON object"):
        price_of("POST", "/v1/images/generations", "application/json", body)


def test_an_edit_is_priced_with_the_images_it_brings() -> None:
    """The SDK's own form: its fields are read, and each upload costs its tokens by the mock's rule at the most."""
    png = io.BytesIO()
    Image.new("RGB", (1536, 1024)).save(png, "PNG")
    sent: list[wire.Request] = []

    def answer(request: wire.Request) -> wire.Response:
        request.read()
        sent.append(request)
        return wire.Response(200, json={"created": 1, "data": []})

    client = openai.OpenAI(
        api_key="sk-test", http_client=wire.Client(transport=wire.MockTransport(answer)), max_retries=0
    )
    uploads = [("a.png", png.getvalue(), "image/png"), ("b.png", png.getvalue(), "image/png")]
    client.images.edit(
        image=uploads, prompt="a cat", model="gpt-image-2", n=2, size="1024x1024", quality="low"
    )

    (request,) = sent
    price = price_of(request.method, request.url.path, request.headers["content-type"], request.content)
    model = MODELS["gpt-image-2"]
    bill = usage_of(
        model,
        prompt="a cat",
        quality="low",
        size=(1024, 1024),
        n=2,
        partial_images=0,
        image_in=2 * reference_tokens(1536, 1024, high_fidelity=True),
    )

    assert (price.model, price.quality) == ("gpt-image-2", "low")
    assert bill.nano_usd <= price.nano_usd < 1.01 * bill.nano_usd


def test_an_upload_that_is_no_image_is_not_priced() -> None:
    """Its size is not known, and so neither is its price."""
    form = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\nno image\r\n--x--\r\n"
    )

    with pytest.raises(NotPriced, match="cannot be read"):
        price_of("POST", "/v1/images/edits", "multipart/form-data; boundary=x", form)


@pytest.mark.parametrize(
    "usage",
    [None, [], {}, {"output_tokens": 5}, {"input_tokens": -1, "output_tokens": 5}, {"input_tokens": "1"}],
    ids=str,
)
def test_a_usage_that_is_not_understood_costs_what_was_reserved(usage: object) -> None:
    """None: the reservation is kept."""
    assert cost_of(usage, Price(nano_usd=1, model="gpt-image-2")) is None


def test_a_usage_without_details_is_priced_at_the_dearer_input() -> None:
    """Text and image tokens that cannot be told apart are image tokens."""
    usage = orjson.loads(b'{"input_tokens": 10, "output_tokens": 100}')

    assert cost_of(usage, Price(nano_usd=1, model="gpt-image-2")) == 10 * 8_000 + 100 * 30_000
