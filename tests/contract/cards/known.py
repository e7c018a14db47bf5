"""The clients with a card: where each is installed, how it is run, and the one line of configuration that mends it.

A script takes the word ``mended`` and is then the same client with that line. The line stands in the script as it
is written here, so that what is advised is what was tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.contract.cards.clients import callables
from whocut.client import async_reference

if TYPE_CHECKING:
    from collections.abc import Callable

# Python environments by name, and what is installed in each.
PYTHON: Final = {
    "sdk-1": ("openai<2",),
    "sdk-2": ("openai>=2,<3",),
    "around": (
        "openai",
        "tenacity",
        "stamina",
        "backoff",
        "urllib3",
        "aiohttp",
        "aiohttp-retry",
        "httpx-retries",
    ),
    "langchain": ("langchain-community", "langchain-openai"),
    "litellm": ("litellm[proxy]",),
    "llama-index": ("llama-index-llms-openai",),
    "frameworks": ("pydantic-ai-slim[openai]", "openai-agents", "haystack-ai"),
    "vendors": ("openrouter", "fal-client", "replicate", "google-genai"),
}
# The same for Node.
NODE: Final = {
    "node-openai": ("openai@7",),
    "node-ai": ("ai@7", "@ai-sdk/openai@4"),
    "node-langchain-js": ("@langchain/openai@1", "@langchain/core"),
    "node-openrouter-js": ("@openrouter/sdk",),
    "node-fal-js": ("@fal-ai/client",),
    "node-replicate-js": ("replicate",),
    "node-genai-js": ("@google/genai",),
}

# What any program can be put to, and what costs: the rest takes a program that reads what it shall ask for.
CORE: Final = (
    "unknown-504",
    "unknown-reset",
    "unknown-closed",
    "unknown-truncated",
    "rate-121",
    "rate-recovers",
    "never-quota",
    "never-401",
    "told-unknown",
)
# The words of a refusal are OpenAI's in the others; these say the same in any dialect.
VENDOR: Final = tuple(check for check in CORE if check != "never-quota")
# Of a client that submits jobs: the answer to the submit is lost, or a gateway's 504 stands in its place.
JOB: Final = (*VENDOR, "job-submit-504")
# Of what takes long to load.
FEW: Final = ("unknown-504", "unknown-reset", "unknown-closed", "rate-121", "never-quota", "never-401")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A client with a card: a script in an environment, or a callable of this one.

    `package` is whose version is told. `mend` is the line, and `mended` what the script takes for it; None: nothing
    is to be mended. `at_once`: so many runs at the same time, for a client that is slow to start.
    """

    name: str
    package: str = ""
    place: str = ""
    script: str = ""
    makes: Callable[..., object] | None = None
    mends: Callable[..., object] | None = None
    mend: str | None = None
    mended: str = "mended"
    checks: tuple[str, ...] | None = CORE  # None: all of them
    at_once: int = 4


KNOWN: Final = (
    Known(name="whocut's reference client", package="openai", makes=async_reference, checks=None),
    Known(
        name="openai-python 3.x",
        package="openai",
        makes=callables.sdk,
        mends=callables.sdk_without_retries,
        mend="max_retries=0",
        checks=None,
    ),
    Known(name="openai-python 2.x", package="openai", place="sdk-2", script="sdk.py", mend="max_retries=0"),
    Known(name="openai-python 1.x", package="openai", place="sdk-1", script="sdk.py", mend="max_retries=0"),
    Known(
        name="openai-node 7.x", package="openai", place="node-openai", script="sdk.mjs", mend="maxRetries: 0"
    ),
    Known(name="AI SDK", package="ai", place="node-ai", script="ai.mjs", mend="maxRetries: 0"),
    Known(name="curl --retry 3", package="curl", script="curl.sh", mend="--retry 0", mended="--retry 0"),
    Known(
        name="tenacity around the SDK",
        package="tenacity",
        place="around",
        script="tenacity_sdk.py",
        mend='"retry": retry_never',
    ),
    Known(
        name="stamina around the SDK",
        package="stamina",
        place="around",
        script="stamina_sdk.py",
        mend='"attempts": 1',
    ),
    Known(
        name="backoff around the SDK",
        package="backoff",
        place="around",
        script="backoff_sdk.py",
        mend='"max_tries": 1',
    ),
    Known(
        name="urllib3's Retry for any method",
        package="urllib3",
        place="around",
        script="urllib3_retry.py",
        mend='"allowed_methods": Retry.DEFAULT_ALLOWED_METHODS',
    ),
    Known(
        name="aiohttp-retry",
        package="aiohttp-retry",
        place="around",
        script="aiohttp_retry_post.py",
        mend='"methods": {"GET"}',
    ),
    Known(
        name="httpx-retries under the SDK",
        package="httpx-retries",
        place="around",
        script="httpx_retries_sdk.py",
        mend='"allowed_methods": Retry.RETRYABLE_METHODS',
    ),
    Known(
        name="OpenRouter's SDK for Python",
        package="openrouter",
        place="vendors",
        script="openrouter_image.py",
        mend='RetryConfig("none", BackoffStrategy(1, 1, 1, 1), retry_connection_errors=False)',
        checks=VENDOR,
    ),
    Known(
        name="OpenRouter's SDK for JavaScript",
        package="@openrouter/sdk",
        place="node-openrouter-js",
        script="openrouter.mjs",
        mend='retryConfig: { strategy: "none" }',
        checks=VENDOR,
    ),
    Known(
        name="fal's client for Python",
        package="fal-client",
        place="vendors",
        script="fal_image.py",
        mend="fal.MAX_ATTEMPTS = 1",
        checks=JOB,
    ),
    Known(
        name="fal's client for JavaScript",
        package="@fal-ai/client",
        place="node-fal-js",
        script="fal.mjs",
        mend="fetch: once",
        checks=JOB,
    ),
    Known(
        name="Replicate's client for Python",
        package="replicate",
        place="vendors",
        script="replicate_image.py",
        checks=JOB,
    ),
    Known(
        name="Replicate's client for JavaScript",
        package="replicate",
        place="node-replicate-js",
        script="replicate.mjs",
        mend="fetch: once",
        checks=JOB,
    ),
    Known(
        name="Google's SDK for Python",
        package="google-genai",
        place="vendors",
        script="genai_image.py",
        checks=VENDOR,
    ),
    Known(
        name="Google's SDK for JavaScript",
        package="@google/genai",
        place="node-genai-js",
        script="genai.mjs",
        checks=VENDOR,
    ),
    Known(
        name="LangChain JS with an image tool",
        package="@langchain/openai",
        place="node-langchain-js",
        script="langchain.mjs",
        mend="maxRetries: 0",
    ),
    Known(
        name="LangChain's DallEAPIWrapper",
        package="langchain-community",
        place="langchain",
        script="langchain_image.py",
        mend='"max_retries": 0',
    ),
    Known(
        name="Haystack's OpenAIImageGenerator",
        package="haystack-ai",
        place="frameworks",
        script="haystack_image.py",
        mend='"max_retries": 0, "timeout": 600',
    ),
    Known(
        name="LlamaIndex with an image tool",
        package="llama-index-llms-openai",
        place="llama-index",
        script="llama_index_image.py",
        mend='"max_retries": 0',
        checks=FEW,
    ),
    Known(
        name="pydantic-ai with an image as output",
        package="pydantic-ai-slim",
        place="frameworks",
        script="pydantic_ai_image.py",
        mend='"openai_client": openai.AsyncOpenAI(max_retries=0)',
        checks=FEW,
    ),
    Known(
        name="openai-agents with an image tool",
        package="openai-agents",
        place="frameworks",
        script="openai_agents_image.py",
        mend="set_default_openai_client(openai.AsyncOpenAI(max_retries=0))",
    ),
    Known(
        name="LiteLLM",
        package="litellm",
        place="litellm",
        script="litellm_image.py",
        mend="litellm.client_session = openai.DefaultHttpxClient(transport=Once())",
        checks=FEW,
        at_once=3,
    ),
    Known(
        name="LiteLLM's proxy",
        package="litellm",
        place="litellm",
        script="litellm_proxy.py",
        mend='{"litellm_settings": {"callbacks": "asked_once.handler"}, "router_settings": {"num_retries": 0}}',
        checks=FEW,
        at_once=2,
    ),
)
