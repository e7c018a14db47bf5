"""What other vendors' official SDKs, unchanged, see of the mock: one JSON object is printed.

Usage: python vendors.py NAME ORIGIN WORK_S. WORK_S is how long a generation takes, in seconds of the wall. It
imports nothing of this project, because its interpreter has not it.
"""

import base64
import json
import sys
import threading
import urllib.request
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

PROMPT = "a ramen shop at two in the morning"
BLOCKED = "mickey mouse on a bike"
FORBIDDEN = "a torture chamber"
FAILS = "a work that fails"  # the mock's settings say what becomes of these two
TOO_MANY = "one request too many"
KEY = "made-up-key"


def kind(content: bytes) -> str:
    """What a file is, by its first bytes."""
    starts = {b"\x89PNG": "png", b"\xff\xd8\xff\xe0": "jpeg", b"RIFF": "webp"}
    return "mp4" if content[4:8] == b"ftyp" else starts.get(content[:4], "?")


def raised(call: Callable[[], Any]) -> dict[str, Any]:
    """What a call raises, as plain data."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - its class is what is asked for
        status = (
            getattr(error, "status_code", None)
            or getattr(error, "code", None)
            or getattr(error, "status", None)
        )
        return {"class": type(error).__name__, "status": status, "said": str(error)[:300]}
    return {"class": None}


def pause(real_s: float) -> None:
    """Let so much time pass."""
    threading.Event().wait(real_s)


class Receiver:
    """Who is called back: the headers and body of everything that comes."""

    def __init__(self) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.came.append((dict(self.headers), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def wait(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        """What came, when there is so much of it."""
        for _ in range(1_000):
            if len(self.came) >= count:
                break
            pause(0.02)
        return self.came


def replicate(origin: str, work_s: float) -> dict[str, Any]:
    """Run, create, poll, wait, cancel, fail; a webhook whose signature the SDK's own helper accepts."""
    import replicate as sdk  # noqa: PLC0415 - each conversation needs its own SDK alone
    from replicate.webhook import Webhooks  # noqa: PLC0415

    client = sdk.Client(api_token=KEY, base_url=f"{origin}/replicate")
    client.poll_interval = work_s / 10
    seen: dict[str, Any] = {}
    model = "black-forest-labs/flux-dev"

    def read(url: str) -> str:
        # The SDK makes files of https links only, and the loopback has none.
        return kind(client._client.get(url).content)

    seen["held"] = read(client.run(model, input={"prompt": PROMPT}))
    seen["outlasted"] = read(client.run(model, input={"prompt": PROMPT + " again"}, wait=1))
    several = client.run(
        model, input={"prompt": PROMPT, "num_outputs": 2, "output_format": "webp"}, wait=False
    )
    seen["several"] = [read(one) for one in several]
    prediction = client.predictions.create(model=model, input={"prompt": PROMPT + " polled"})
    seen["statuses"] = [prediction.status]
    while prediction.status not in ("succeeded", "failed", "canceled"):
        pause(work_s / 10)
        prediction.reload()
        if prediction.status != seen["statuses"][-1]:
            seen["statuses"].append(prediction.status)
    prediction = client.predictions.create(model=model, input={"prompt": PROMPT + " cancelled"})
    pause(work_s * 0.4)
    prediction.cancel()
    prediction.reload()
    seen["cancelled"] = prediction.status
    for name, prompt in (("blocked", BLOCKED), ("forbidden", FORBIDDEN), ("failed", FAILS)):
        seen[name] = raised(partial(client.run, model, input={"prompt": prompt}))
    seen["too_many"] = raised(partial(client.run, model, input={"prompt": TOO_MANY}))
    seen["no_prompt"] = raised(lambda: client.predictions.create(model=model, input={}))
    seen["unknown"] = raised(lambda: client.predictions.get("nothing"))
    seen["no_key"] = raised(
        lambda: sdk.Client(api_token="", base_url=f"{origin}/replicate").predictions.get("nothing")
    )
    seen["listed"] = len(client.predictions.list().results)
    receiver = Receiver()
    client.predictions.create(model=model, input={"prompt": PROMPT + " told"}, webhook=receiver.url)
    came = receiver.wait(2)
    secret = client.webhooks.default.secret()
    for headers, body in came:
        lower = {name.lower(): value for name, value in headers.items()}
        Webhooks.validate(headers=lower, body=body.decode(), secret=secret, tolerance=60)
    seen["webhook"] = [json.loads(body)["status"] for _, body in came]
    return seen


def fal(origin: str, work_s: float) -> dict[str, Any]:
    """Submit, subscribe, status, result, cancel, a direct run; the SDK speaks to the hosts of its constants."""
    import fal_client as sdk  # noqa: PLC0415
    from fal_client import client as module  # noqa: PLC0415

    module.QUEUE_URL_FORMAT = f"{origin}/fal/queue/"
    module.RUN_URL_FORMAT = f"{origin}/fal/run/"
    client = sdk.SyncClient(key=KEY)
    seen: dict[str, Any] = {}
    app = "fal-ai/flux/dev"

    def fetched(result: Any) -> list[str]:
        return [kind(client._client.get(one["url"]).content) for one in result["images"]]

    updates: list[str] = []

    def on_update(status: Any) -> None:
        name = type(status).__name__
        if name not in updates[-1:]:
            updates.append(name)

    result = client.subscribe(app, {"prompt": PROMPT, "num_images": 2}, on_queue_update=on_update)
    seen["subscribed"], seen["updates"] = fetched(result), updates
    handle = client.submit(app, {"prompt": PROMPT + " by hand"})
    seen["urls"] = [
        url.replace(handle.request_id, "ID").replace(origin, "")
        for url in (handle.status_url, handle.response_url, handle.cancel_url)
    ]
    seen["result"] = fetched(handle.get())
    handle = client.submit(app, {"prompt": PROMPT + " cancelled"})
    pause(work_s * 0.4)
    handle.cancel()
    seen["cancelled"] = handle.status().error_type
    for name, prompt in (("blocked", BLOCKED), ("forbidden", FORBIDDEN), ("failed", FAILS)):
        seen[name] = raised(partial(client.subscribe, app, {"prompt": prompt}))
    seen["too_many"] = fetched(client.subscribe(app, {"prompt": TOO_MANY}))
    seen["run"] = fetched(client.run(app, {"prompt": PROMPT + " at once"}))
    seen["no_prompt"] = raised(lambda: client.submit(app, {}))
    seen["limited"] = raised(
        lambda: client.run(app, {"prompt": PROMPT + " limited"}, headers={"X-Fal-Request-Timeout": "1"})
    )
    receiver = Receiver()
    handle = client.submit(app, {"prompt": PROMPT + " told"}, webhook_url=receiver.url)
    [(_, body)] = receiver.wait(1)
    told = json.loads(body)
    seen["webhook"] = [told["request_id"] == handle.request_id, told["status"], fetched(told["payload"])]
    return seen


def openrouter(origin: str, work_s: float) -> dict[str, Any]:
    """Images plain and streamed, a video by polls, its content, chat with a picture, refusals."""
    from openrouter import OpenRouter  # noqa: PLC0415
    from openrouter.utils import BackoffStrategy, RetryConfig  # noqa: PLC0415

    once = RetryConfig("none", BackoffStrategy(1, 1, 1, 1), retry_connection_errors=False)
    client = OpenRouter(
        api_key=KEY, server_url=f"{origin}/openrouter/api/v1", retry_config=once, timeout_ms=30_000
    )
    seen: dict[str, Any] = {}
    answer = client.images.generate(model="google/gemini-3-pro-image", prompt=PROMPT, n=2)
    seen["plain"] = [kind(base64.b64decode(one.b64_json)) for one in answer.data]
    seen["cost"] = answer.usage.cost > 0
    with client.images.generate(model="openai/gpt-image-2", prompt=PROMPT, stream=True) as stream:
        seen["stream"] = [[event.type, kind(base64.b64decode(event.b64_json))] for event in stream]
    job = client.video_generation.generate(model="google/veo-3.1", prompt=PROMPT)
    seen["submitted"] = job.status
    statuses: list[str] = []
    while job.status not in ("completed", "failed", "cancelled", "expired"):
        pause(work_s / 10)
        job = client.video_generation.get_generation(job_id=job.id)
        if job.status not in statuses[-1:]:
            statuses.append(job.status)
    seen["statuses"] = statuses
    content = client.video_generation.get_video_content(job_id=job.id)
    seen["content"] = kind(content.read())
    seen["video_cost"] = job.usage.cost > 0
    for name, prompt in (("blocked", BLOCKED), ("forbidden", FORBIDDEN)):
        seen[name] = raised(partial(client.images.generate, model="google/x", prompt=prompt))
    seen["unknown"] = raised(lambda: client.video_generation.get_generation(job_id="nothing"))
    seen["failed"] = raised(partial(client.images.generate, model="google/x", prompt=FAILS))
    seen["too_many"] = raised(partial(client.images.generate, model="google/x", prompt=TOO_MANY))
    lost = client.video_generation.generate(model="google/veo-3.1", prompt=FAILS)
    while lost.status in ("pending", "in_progress"):
        pause(work_s / 10)
        lost = client.video_generation.get_generation(job_id=lost.id)
    seen["video_failed"] = [lost.status, bool(lost.error)]
    receiver = Receiver()
    client.video_generation.generate(
        model="google/veo-3.1", prompt=PROMPT + " told", callback_url=receiver.url
    )
    [(headers, body)] = receiver.wait(1)
    seen["callback"] = [json.loads(body)["type"], "webhook-signature" in {name.lower() for name in headers}]
    return seen


def gemini(origin: str, work_s: float) -> dict[str, Any]:
    """Pictures by generateContent and Imagen's predict, a film by an operation, refusals, a deadline."""
    from google import genai  # noqa: PLC0415
    from google.genai import types  # noqa: PLC0415

    def connect(key: str = KEY, version: str = "v1beta", **options: Any) -> Any:
        http = types.HttpOptions(base_url=f"{origin}/gemini", api_version=version, **options)
        return genai.Client(api_key=key, http_options=http)

    client = connect()
    seen: dict[str, Any] = {}
    model = "gemini-3-pro-image"
    config = types.GenerateContentConfig(response_modalities=["TEXT", "IMAGE"])

    def drawn(response: Any) -> list[str]:
        return [
            kind(part.inline_data.data) for part in response.candidates[0].content.parts if part.inline_data
        ]

    seen["content"] = drawn(client.models.generate_content(model=model, contents=PROMPT, config=config))
    newest, revoked, hurried = (
        connect(version="v1"),
        connect("revoked"),
        connect(headers={"X-Server-Timeout": "1"}),
    )
    seen["v1"] = drawn(newest.models.generate_content(model=model, contents=PROMPT))
    seen["stream"] = [
        drawn(chunk) for chunk in client.models.generate_content_stream(model=model, contents=PROMPT)
    ]

    # With an API key this SDK submits neither films nor Imagen's pictures; it asks after films and fetches them.
    def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"x-goog-api-key": KEY, "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{origin}/gemini/v1beta/{path}", json.dumps(body).encode(), headers)
        told: dict[str, Any] = json.loads(urllib.request.urlopen(asked).read())
        return told

    imagen = post(
        "models/imagen-4.0:predict", {"instances": [{"prompt": PROMPT}], "parameters": {"sampleCount": 2}}
    )
    seen["imagen"] = [kind(base64.b64decode(one["bytesBase64Encoded"])) for one in imagen["predictions"]]
    for name, prompt in (("veo", PROMPT), ("veo_blocked", BLOCKED), ("veo_failed", FAILS)):
        submitted = post("models/veo-3.1:predictLongRunning", {"instances": [{"prompt": prompt}]})
        operation = types.GenerateVideosOperation(name=submitted["name"])
        polls = 0
        while not operation.done:
            pause(work_s / 10)
            operation = client.operations.get(operation)
            polls += 1
        response = operation.response
        if operation.error:
            seen[name] = [polls > 1, operation.error.get("code")]
        elif response.generated_videos:
            uri = response.generated_videos[0].video.uri  # the SDK understands https ones only
            film = client.files.download(file="files/" + uri.partition("files/")[2].partition(":")[0])
            seen[name] = [polls > 1, kind(film)]
        else:
            seen[name] = [polls > 1, response.rai_media_filtered_count]
    blocked = client.models.generate_content(model=model, contents=BLOCKED)
    seen["blocked"] = str(blocked.candidates[0].finish_reason)
    forbidden = client.models.generate_content(model=model, contents=FORBIDDEN)
    seen["forbidden"] = str(forbidden.prompt_feedback.block_reason)
    seen["wrong_key"] = raised(lambda: revoked.models.generate_content(model=model, contents=PROMPT))
    seen["deadline"] = raised(lambda: hurried.models.generate_content(model=model, contents=PROMPT + " late"))
    seen["no_prompt"] = raised(lambda: client.models.generate_content(model=model, contents=[]))
    seen["failed"] = raised(lambda: client.models.generate_content(model=model, contents=FAILS))
    seen["too_many"] = raised(lambda: client.models.generate_content(model=model, contents=TOO_MANY))
    return seen


def openai(origin: str, work_s: float) -> dict[str, Any]:
    """Background responses: polled, taken up again, cancelled, failed, refused; a believed callback."""
    import openai as sdk  # noqa: PLC0415

    client = sdk.OpenAI(api_key=KEY, base_url=f"{origin}/v1", max_retries=0)
    seen: dict[str, Any] = {}
    tools: Any = [{"type": "image_generation", "partial_images": 1}]

    def submitted(prompt: str, **more: Any) -> Any:
        return client.responses.create(model="gpt-5.5", input=prompt, tools=tools, background=True, **more)

    def drawn(response: Any) -> list[str]:
        calls = [item for item in response.output if item.type == "image_generation_call"]
        return [kind(base64.b64decode(item.result)) for item in calls if item.result]

    def over(response: Any) -> Any:
        while response.status in ("queued", "in_progress"):
            pause(work_s / 10)
            response = client.responses.retrieve(response.id)
        return response

    response = submitted(PROMPT)
    seen["submitted"], response = response.status, over(response)
    seen["polled"] = [response.status, drawn(response)]
    names, after = [], 0
    for event in submitted(PROMPT + " streamed", stream=True):
        names.append(event.type)
        if event.type == "response.created":
            response = event.response
        after = event.sequence_number
        if event.type == "response.in_progress":
            break  # the connection is lost here, and the stream is taken up again
    rest = client.responses.retrieve(response.id, stream=True, starting_after=after)
    names += [event.type for event in rest]
    seen["stream"] = [names[0], names.count("response.image_generation_call.partial_image"), names[-1]]
    response = submitted(PROMPT + " cancelled")
    pause(work_s * 0.4)
    seen["cancelled"] = client.responses.cancel(response.id).status
    for name, prompt in (("blocked", BLOCKED), ("failed", FAILS)):
        response = over(submitted(prompt))
        seen[name] = [response.status, response.error.code]
    seen["forbidden"] = raised(partial(submitted, FORBIDDEN))
    seen["too_many"] = raised(partial(submitted, TOO_MANY))
    receiver = Receiver()
    made = client.post(
        "/webhook_endpoints",
        body={"name": "sdk", "url": receiver.url, "event_types": ["response.completed"]},
        cast_to=dict[str, Any],
    )
    response = submitted(PROMPT + " told")
    [(headers, body)] = receiver.wait(1)
    told: Any = client.webhooks.unwrap(body, headers, secret=made["signing_secret"])
    seen["webhook"] = [told.type, told.data.id == response.id]
    client.delete(f"/webhook_endpoints/{made['id']}", cast_to=dict[str, Any])
    return seen


def azure(origin: str, work_s: float) -> dict[str, Any]:
    """Pictures by deployment, plain and streamed; refusals in Azure's words. It has no jobs of its own here."""
    import openai as sdk  # noqa: PLC0415

    del work_s
    client = sdk.AzureOpenAI(
        api_key=KEY, azure_endpoint=origin, api_version="2025-04-01-preview", max_retries=0
    )
    seen: dict[str, Any] = {}

    def generate(prompt: str, **more: Any) -> Any:
        return client.images.generate(model="gpt-image-2", prompt=prompt, **more)

    seen["plain"] = [kind(base64.b64decode(one.b64_json)) for one in generate(PROMPT).data]
    stream = generate(PROMPT, stream=True, partial_images=1)
    seen["stream"] = [event.type for event in stream]
    refusals = (("blocked", BLOCKED), ("forbidden", FORBIDDEN), ("failed", FAILS), ("too_many", TOO_MANY))
    for name, prompt in refusals:
        seen[name] = raised(partial(generate, prompt))
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(globals()[sys.argv[1]](sys.argv[2], float(sys.argv[3]))))
