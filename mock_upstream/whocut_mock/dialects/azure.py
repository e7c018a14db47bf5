"""Azure's doors to the same models: by deployment and `api-version`, or under `/openai/v1` as OpenAI's own.

A deployment has any name; the settings may name the model behind it. Without that, a name that is no model's means
the default model. Azure's texts for a wrong key, a path and a deployment are its published ones. Those of limits
and headers are unverified.
"""

from collections.abc import Mapping

from aiohttp import web

from whocut_mock import answers, models, parameters, responses_api, service
from whocut_mock.answers import Facts
from whocut_mock.caller import bearer
from whocut_mock.dialects import register
from whocut_mock.errors import ApiError
from whocut_mock.settings import Settings
from whocut_mock.speech import Dialect
from whocut_mock.upstream import UPSTREAM

_HELP = "help.openai.com"
_SUPPORT = "Azure support ticket"  # where a moderated request is sent (ZJT#480)


def key(headers: Mapping[str, str]) -> str | None:
    """The `api-key` header, or the token of an application that signs in."""
    return headers.get("api-key") or bearer(headers)


def refusal(error: ApiError, headers: Mapping[str, str]) -> web.Response:
    """The resource's own refusals in its own words; the model's as OpenAI says them."""
    return web.Response(
        status=error.status,
        body=answers.pretty(_said(error)),
        content_type="application/json",
        headers={**headers, **error.headers},
    )


def _said(error: ApiError) -> dict[str, object]:
    if error.status == 401:
        return _coded(
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key"
            " for an active subscription and use a correct regional API endpoint for your resource.",
        )
    if error.status == 429 and "retry-after" in error.headers:
        wait = error.headers["retry-after"]
        return _coded(
            "429", f"Requests have exceeded the call rate limit. Please retry after {wait} seconds."
        )
    if error.status == 404 and error.code is None:
        return _coded("404", "Resource not found")
    if error.code == "DeploymentNotFound":
        return _coded(error.code, error.message)
    envelope = error.envelope()
    if error.code == "moderation_blocked":
        said = {"message": error.message.replace(_HELP, _SUPPORT), "param": ""}
        return {"error": envelope["error"] | said}
    return envelope


def _coded(code: str, message: str) -> dict[str, object]:
    return {"error": {"code": code, "message": message}}


def headers(facts: Facts) -> dict[str, str]:
    """What Azure's gateway adds in the place of OpenAI's own headers."""
    return answers.plain_headers(facts) | {
        "x-request-id": facts.request_id,
        "apim-request-id": facts.request_id.removeprefix("req_"),
        "x-ms-region": "West US 3",
    }


async def generations(request: web.Request) -> web.StreamResponse:
    """`POST /openai/deployments/{deployment}/images/generations`, and the same under `/openai/v1`."""
    return await _images(request, parameters.GENERATIONS)


async def edits(request: web.Request) -> web.StreamResponse:
    """`POST /openai/deployments/{deployment}/images/edits`, and the same under `/openai/v1`."""
    return await _images(request, parameters.EDITS)


async def _images(request: web.Request, endpoint: str) -> web.StreamResponse:
    settings = request.app[UPSTREAM].settings
    named = request.match_info.get("deployment")
    if named is not None and "api-version" not in request.query:
        raise ApiError(404, "Resource not found")
    return await service.images(request, endpoint, lambda name: deployed(named or name, settings))


def deployed(name: str | None, settings: Settings) -> str | None:
    """The model behind this deployment.

    Raises:
        ApiError: the settings name deployments, and this one is unknown.
    """
    if name is None:
        return None
    found = settings.azure_deployments.get(name)
    if found is None and settings.azure_deployments:
        raise ApiError(
            404,
            "The API deployment for this resource does not exist. If you created the deployment within the last 5"
            " minutes, please wait a moment and try again.",
            code="DeploymentNotFound",
        )
    return found or (name if models.find(name) else models.DEFAULT_MODEL)


register(
    Dialect(
        "azure",
        step="openai",
        routes=(
            ("POST", "/openai/deployments/{deployment}/images/generations", generations),
            ("POST", "/openai/deployments/{deployment}/images/edits", edits),
            ("POST", "/openai/v1/images/generations", generations),
            ("POST", "/openai/v1/images/edits", edits),
            *(
                (method, f"{prefix}/responses{rest}", handler)
                for prefix in ("/openai/v1", "/openai")
                for method, rest, handler in (
                    ("POST", "", responses_api.responses),
                    ("GET", "/{id}", responses_api.retrieve),
                    ("DELETE", "/{id}", responses_api.delete),
                    ("POST", "/{id}/cancel", responses_api.cancel),
                )
            ),
        ),
        key=key,
        refusal=refusal,
        headers=headers,
    )
)
