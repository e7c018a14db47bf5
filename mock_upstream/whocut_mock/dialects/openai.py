"""OpenAI's own paths under `/v1`: images, responses, models, and what applications call around them."""

from whocut_mock import listing, responses_api, service, webhooks
from whocut_mock.dialects import OPENAI, Dialect, register

register(
    Dialect(
        OPENAI,
        routes=(
            ("POST", "/v1/images/generations", service.generations),
            ("POST", "/v1/images/edits", service.edits),
            ("POST", "/v1/images/variations", service.variations),
            ("POST", "/v1/responses", responses_api.responses),
            ("GET", "/v1/responses/{id}", responses_api.retrieve),
            ("DELETE", "/v1/responses/{id}", responses_api.delete),
            ("POST", "/v1/responses/{id}/cancel", responses_api.cancel),
            ("POST", "/v1/chat/completions", listing.chat),
            ("GET", "/v1/models", listing.list_models),
            ("GET", "/v1/models/{name:.+}", listing.get_model),
            *webhooks.ROUTES,
        ),
        headers=True,
    )
)
