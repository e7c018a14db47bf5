"""Varnish: what ``varnishncsa -b`` writes of its requests towards the upstream, in the format we recommend."""

from __future__ import annotations

from typing import Final

from whocut.trace.logs.records import Account, EndedBy, LogFormat, Signal, Unreadable, as_account

LOG_FORMAT: Final = (
    '{"time":"%{VSL:Timestamp:Start[1]}x","trace":"%{traceparent}i","request_id":"%{x-request-id}i","path":"%U",'
    '"status":"%s","bytes":"%b","answered_s":"%{VSL:Timestamp:Beresp[2]}x",'
    '"whole_s":"%{VSL:Timestamp:BerespBody[2]}x","failed_s":"%{VSL:Timestamp:Error[2]}x",'
    '"error":"%{VSL:FetchError}x"}'
)
