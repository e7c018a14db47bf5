"""``python -m whocut.trace.logs > docs/logs.md``: the page anew from the tables."""

from __future__ import annotations

import sys

from whocut.trace.logs.formats import as_markdown

sys.stdout.write(as_markdown())
