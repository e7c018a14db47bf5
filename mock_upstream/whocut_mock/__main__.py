"""`python -m whocut_mock`."""

import sys

from whocut_mock.cli import main

sys.exit(main())
