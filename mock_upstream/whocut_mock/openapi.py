"""The mock's own OpenAPI document, made from the tables it validates by; served at `/_mock/openapi.json`."""

from typing import Any

from whocut_mock.models import MODELS
from whocut_mock.parameters import EDITS, GENERATIONS, PARAMETERS, VARIATIONS, Parameter

_TYPES = {str: "string", int: "integer", bool: "boolean", dict: "object"}
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_LINK = {
    "type": "object",
    "properties": {"image_url": {"type": "string"}, "file_id": {"type": "string"}},
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}
_LINKS = {"type": "array", "items": _LINK, "minItems": 1, "maxItems": 16}
_ELSEWHERE: dict[str, dict[str, Any]] = {
    "image": _FILE,
    "image[]": {"type": "array", "items": _FILE, "minItems": 1, "maxItems": 16},
    "images": _LINKS,
}
_REQUIRED = {GENERATIONS: {"json": ["prompt"]}, EDITS: {"json": ["prompt", "images"], "form": ["prompt"]}}

_EVENT = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["event", "data"],
}
_USAGE_DETAILS = {
    "type": "object",
    "properties": {"text_tokens": {"type": "integer"}, "image_tokens": {"type": "integer"}},
    "required": ["text_tokens", "image_tokens"],
    "additionalProperties": False,
}

SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                    "moderation_details": {"type": "object"},
                },
                "required": ["message", "type", "param", "code"],
                "additionalProperties": False,
            }
        },
        "required": ["error"],
        "additionalProperties": False,
    },
    "Usage": {
        "type": "object",
        "properties": {
            "total_tokens": {"type": "integer"},
            "input_tokens": {"type": "integer"},
            "output_tokens": {"type": "integer"},
            "input_tokens_details": _USAGE_DETAILS,
            "output_tokens_details": _USAGE_DETAILS,
        },
        "required": ["total_tokens", "input_tokens", "output_tokens", "input_tokens_details"],
        "additionalProperties": False,
    },
    "Images": {
        "type": "object",
        "properties": {
            "created": {"type": "integer"},
            "background": {"enum": ["transparent", "opaque"]},
            "output_format": {"enum": ["png", "jpeg", "webp", "gif", "svg"]},
            "quality": {"enum": ["low", "medium", "high", "xhigh", "max"]},
            "size": {"type": "string", "pattern": "^[0-9]+x[0-9]+$"},
            "data": {
                "type": "array",
                "minItems": 1,
                "maxItems": 10,
                "items": {
                    "type": "object",
                    "properties": {"b64_json": {"type": "string"}},
                    "required": ["b64_json"],
                    "additionalProperties": False,
                },
            },
            "usage": {"$ref": "#/components/schemas/Usage"},
            "safety_identifier": {"type": "string"},
        },
        "required": ["created", "background", "output_format", "quality", "size", "data", "usage"],
        "additionalProperties": False,
    },
    "Model": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": {"type": "string"},
            "shutdown_date": {"type": ["string", "null"]},
        },
        "required": ["id", "object", "created", "owned_by", "shutdown_date"],
        "additionalProperties": False,
    },
    "Models": {
        "type": "object",
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
        },
        "required": ["object", "data"],
    },
    "Response": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "response"},
            "status": {"enum": ["completed", "failed"]},
            "output": {"type": "array", "items": {"type": "object"}},
        },
        "required": ["id", "object", "status", "output"],
    },
}


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "A mock of the OpenAI Images API", "version": "1"},
        "paths": {
            "/v1/images/generations": _post("Images", {"application/json": _body(GENERATIONS, "json")}),
            "/v1/images/edits": _post(
                "Images",
                {
                    "application/json": _body(EDITS, "json"),
                    "multipart/form-data": _body(EDITS, "form"),
                },
            ),
            "/v1/images/variations": _post("Images", {"multipart/form-data": _body(VARIATIONS, "form")}),
            "/v1/responses": _post("Response", {"application/json": _responses_body()}),
            "/v1/chat/completions": _post("Error", {"application/json": {"type": "object"}}, streams=False),
            "/v1/models": {"get": {"responses": _responses("Models", streams=False)}},
            "/v1/models/{name}": {
                "get": {
                    "parameters": [
                        {"name": "name", "in": "path", "required": True, "schema": {"enum": list(MODELS)}}
                    ],
                    "responses": _responses("Model", streams=False),
                }
            },
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _post(answer: str, bodies: dict[str, Any], *, streams: bool = True) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind, schema in bodies.items()}
    return {
        "post": {
            "requestBody": {"required": True, "content": content},
            "responses": _responses(answer, streams=streams),
        }
    }


def _responses(answer: str, *, streams: bool) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}}
    if streams:
        content["text/event-stream"] = {"schema": _EVENT}
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "200": {"description": "the answer", "content": content},
        "default": {"description": "a refusal", "content": refused},
    }


def _body(endpoint: str, kind: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            name: _schema(one)
            for name, one in PARAMETERS.items()
            if endpoint in one.endpoints and kind in one.bodies
        },
        "required": _REQUIRED.get(endpoint, {}).get(kind, []),
        "additionalProperties": False,
    }


def _schema(parameter: Parameter) -> dict[str, Any]:
    if parameter.kind is None:
        found: dict[str, Any] = _ELSEWHERE.get(parameter.name, _FILE)
        return found
    schema: dict[str, Any] = {"type": _TYPES[parameter.kind]}
    choices = parameter.choices
    if callable(choices):
        schema["enum"] = sorted({one for model in MODELS.values() for one in choices(model)})
    elif choices:
        schema["enum"] = list(choices)
    if parameter.kind is int:
        schema |= {"minimum": parameter.low, "maximum": parameter.high}
    if parameter.kind is str and parameter.high:
        schema |= {"minLength": parameter.low, "maxLength": parameter.high}
    return {"anyOf": [schema, {"type": "null"}]} if parameter.nullable else schema


def _responses_body() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "model": {"type": "string"},
            "input": {"type": "string"},
            "stream": {"type": "boolean"},
            "tools": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {"type": {"const": "image_generation"}},
                    "required": ["type"],
                },
            },
        },
        "required": ["model", "input", "tools"],
    }
