"""``whocut``, or ``python -m whocut``; light, so that a Ctrl-C while the rest is imported is one sentence too."""

import gc
import sys

_COULD_NOT_RUN = 3


def main() -> None:
    """Run the command line."""
    gc.disable()  # what is imported stays: to look for garbage in it takes a tenth of a short command
    try:
        from whocut.cli import main as run_command  # noqa: PLC0415  # an import takes a second, and can be stopped

        run_command()
    except KeyboardInterrupt:
        sys.stderr.write("whocut: stopped by a signal before anything had begun to run\n")
        sys.exit(_COULD_NOT_RUN)


if __name__ == "__main__":
    main()
