"""An Images API that is slow, moderates, limits and bills: a stranger to the rest of this project."""

from mock_upstream.app import create_app
from mock_upstream.clock import ModelClock
from mock_upstream.ledger import Ledger, Row, Totals
from mock_upstream.serve import NotServing, Running, serve
from mock_upstream.settings import Settings

__all__ = [
    "Ledger",
    "ModelClock",
    "NotServing",
    "Row",
    "Running",
    "Settings",
    "Totals",
    "create_app",
    "serve",
]
