"""What Locust's web server serves for the tab: the panel, the state of the runs, and their reports.

Locust's page takes further tabs from `template_args`, but puts nothing else than a table into them. So the tab is
Locust's, and a small script of ours lays the panel into its empty pane. The panel is a page of its own at
``/whocut/``: it can be opened alone, and stays readable should a later Locust draw its tabs otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from flask import Blueprint, Response, make_response, request, send_from_directory

from whocut.load.tab.guard import guard

if TYPE_CHECKING:
    from whocut.load.tab.runs import ShownRuns

TITLE = "Which layer cut"
_STATIC = Path(__file__).parent / "static"
_SCRIPT = b'<script src="./whocut/static/tab.js"></script></body>'
_STOPPING = frozenset({"stopping", "cleanup"})  # with workers, and without
# Nothing from outside, nothing inline: what a run has recorded can only ever be text.
_PANEL_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'self'"
)
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def add_tab(web_ui: Any, runs: ShownRuns, base_path: str | None, listens_on: str | None = None) -> None:
    """Put the tab into Locust's page, and a guard before all of it.

    `base_path` is Locust's own ``--web-base-path``, `listens_on` its ``--web-host``.

    Raises:
        BadInput: the page's token, as the environment gives it, is too short to be one.
    """
    web_ui.template_args["extended_tabs"] = [
        *web_ui.template_args.get("extended_tabs", ()),
        {"title": TITLE, "key": "which-layer-cut"},
    ]
    prefix = (base_path or "").rstrip("/")
    guard(web_ui, prefix, listens_on)
    web_ui.app.after_request(_with_script)
    web_ui.app.after_request(_running_until_stopped)
    web_ui.app.register_blueprint(_blueprint(web_ui, runs, prefix))


def _with_script(response: Response) -> Response:
    if request.endpoint == "locust.index" and response.mimetype == "text/html":
        head, end, tail = response.get_data().rpartition(b"</body>")
        if end:
            response.set_data(head + _SCRIPT + tail)
    return response


def _running_until_stopped(response: Response) -> Response:
    """Say `running` of a test that is being stopped.

    Locust's page asks no further once it has heard of stopping. What is in flight is drained for longer than the
    two seconds between its questions: so it would never hear of the end, nor offer another start.
    """
    if request.endpoint == "locust.request_stats":
        stats = response.get_json(silent=True) or {}
        if stats.get("state") in _STOPPING:
            response.set_data(orjson.dumps({**stats, "state": "running"}))
    return response


def _blueprint(web_ui: Any, runs: ShownRuns, prefix: str) -> Blueprint:
    pages = Blueprint("whocut", __name__, url_prefix=f"{prefix}/whocut", static_folder=str(_STATIC))

    def panel() -> Response:
        response = send_from_directory(_STATIC, "panel.html")
        response.headers["Content-Security-Policy"] = _PANEL_POLICY
        return response

    def state() -> Response:
        response = Response(orjson.dumps(runs.to_plain()), mimetype="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    def report(number: int) -> Response:
        run = runs.find(number)
        if run is None or run.report is None:
            return make_response(f"There is no report of run {number}, or not yet.", 404)
        response = Response(run.report.read_bytes(), mimetype="text/html")
        response.headers["Content-Security-Policy"] = _REPORT_POLICY
        return response

    for rule, view in (("/", panel), ("/state.json", state), ("/report/<int:number>", report)):
        pages.add_url_rule(rule, view.__name__, web_ui.auth_required_if_enabled(view))
    return pages
