"""The names of attributes: OpenTelemetry's where it has one, `whocut.*` only where it has none."""

from __future__ import annotations

from typing import Final

from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
    service_attributes,
    url_attributes,
)

ERROR_TYPE: Final = error_attributes.ERROR_TYPE
METHOD: Final = http_attributes.HTTP_REQUEST_METHOD
STATUS: Final = http_attributes.HTTP_RESPONSE_STATUS_CODE
RESEND_COUNT: Final = http_attributes.HTTP_REQUEST_RESEND_COUNT
PATH: Final = url_attributes.URL_PATH
SERVER_ADDRESS: Final = server_attributes.SERVER_ADDRESS
SERVER_PORT: Final = server_attributes.SERVER_PORT
SERVICE_NAME: Final = service_attributes.SERVICE_NAME
# The GenAI conventions are still incubating, and their module moves between releases: the two names we use
# are written out. https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
GENAI_MODEL: Final = "gen_ai.request.model"
GENAI_OPERATION: Final = "gen_ai.operation.name"
GENAI_OUTPUT_TYPE: Final = "gen_ai.output.type"

KIND: Final = "whocut.kind"
LAYER: Final = "whocut.layer"
POSITION: Final = "whocut.layer.position"  # 0 is the client; grows towards the model
MODE: Final = "whocut.mode"
REQUEST: Final = "whocut.request"
ATTEMPT: Final = "whocut.attempt"
OUTCOME: Final = "whocut.outcome"

UPSTREAM_END: Final = "whocut.upstream.end"
UPSTREAM_END_S: Final = "whocut.upstream.end_s"
DOWNSTREAM_END: Final = "whocut.downstream.end"
DOWNSTREAM_END_S: Final = "whocut.downstream.end_s"
REQUEST_SENT_S: Final = "whocut.request_sent_s"
FIRST_BYTE_S: Final = "whocut.first_byte_s"
LAST_BYTE_S: Final = "whocut.last_byte_s"
LARGEST_GAP_S: Final = "whocut.largest_gap_s"
BODY_HEAD: Final = "whocut.body_head"  # the first bytes of an error page, secrets taken out
RESPONSE_HEADER: Final = f"{http_attributes.HTTP_RESPONSE_HEADER_TEMPLATE}."
BYTES_DOWN: Final = "whocut.bytes_down"

TAP: Final = "whocut.tap"  # on which side of a real gateway this span was written
CLOCK: Final = "whocut.clock"  # the clock of its instants, where that is not the run's
TAP_LAZY_S: Final = "whocut.tap.lazy_s"  # how much too early the gateway's timers may fire in a live stream
GATEWAY: Final = "whocut.gateway"  # the account of a real gateway, put together from its two taps
GONE: Final = "whocut.gone"  # why a layer ended a request by no timer of its own

CUT_TIMER: Final = "whocut.cut.timer"
CUT_DIRECTIVE: Final = "whocut.cut.directive"
CUT_PHASE: Final = "whocut.cut.phase"
CUT_LIMIT_S: Final = "whocut.cut.limit_s"
CUT_AT_S: Final = "whocut.cut.at_s"

GENERATION: Final = "whocut.generation"
ORPHANED: Final = "whocut.orphaned"
ORPHANED_S: Final = "whocut.orphaned_s"
CALLER_GONE_S: Final = "whocut.caller_gone_s"
DELIVERED: Final = "whocut.delivered"
BILLED: Final = "whocut.billed"
BILLED_USD: Final = "whocut.billed_usd"
FAULT: Final = "whocut.fault"
EMISSIONS_S: Final = "whocut.emissions_s"  # when each event was, or would have been, sent
HEARTBEAT_S: Final = "whocut.heartbeat_s"  # the longest silence that the server lets a stream have
REFUSED: Final = "whocut.refused"
LOST: Final = "whocut.lost"  # how the result of a job came to no one
LOST_S: Final = "whocut.lost_s"
SETTLED: Final = "whocut.settled"
