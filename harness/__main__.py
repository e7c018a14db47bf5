"""``python -m harness`` is ``whocut``."""

from harness.cli import main

if __name__ == "__main__":
    main()
