"""`python -m mock_upstream`."""

import sys

from mock_upstream.cli import main

sys.exit(main())
