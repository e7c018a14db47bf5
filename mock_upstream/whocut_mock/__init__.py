"""An Images API that is slow, moderates, limits and bills: a stranger to the rest of this project."""

from whocut_mock.app import create_app
from whocut_mock.clock import ModelClock
from whocut_mock.ledger import Ledger, Row, Totals
from whocut_mock.serve import NotServing, Running, serve
from whocut_mock.settings import Settings

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
