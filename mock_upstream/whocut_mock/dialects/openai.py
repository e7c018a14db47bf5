"""OpenAI's own paths under `/v1`: images, responses, models, and what applications call around them."""

from whocut_mock import (
    batches_api,
    chat,
    files_api,
    listing,
    moderations_api,
    responses_api,
    service,
    webhooks,
)
from whocut_mock.answers import standard_headers
from whocut_mock.dialects import OPENAI, register
from whocut_mock.speech import Dialect

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
            ("POST", "/v1/chat/completions", chat.completions),
            ("GET", "/v1/models", listing.list_models),
            ("GET", "/v1/models/{name:.+}", listing.get_model),
            ("POST", "/v1/moderations", moderations_api.moderations),
            *files_api.ROUTES,
            *batches_api.ROUTES,
            *webhooks.ROUTES,
        ),
        step="v1",
        headers=standard_headers,
        cors=True,
    )
)
