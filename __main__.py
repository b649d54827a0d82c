"""The `derlem` command, also as `python -m derlem`: handles an interrupt before anything else is imported."""

import os
import signal


def _end_at_once(number: int, _: object) -> None:
    """Until the command begins, nothing is written that an interrupt could leave half done."""
    os.write(2, b"Interrupted. Committed work is kept; repeat the command to continue.\n")
    os._exit(128 + number)


if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end_at_once)

from .cli import main  # noqa: E402

if __name__ == "__main__":
    try:
        main()
    finally:
        # When a KeyboardInterrupt leaves exec() of a string, as in the standard library's namedtuple, CPython
        # marks the interpreter and, after `python -m`, ends the process by SIGINT whatever the exit code is.
        # The next exec() clears the mark.
        exec("0")
