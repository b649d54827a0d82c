"""`python -m derlem` is the same as the `derlem` command."""

from .cli import main

if __name__ == "__main__":
    try:
        main()
    finally:
        # When a KeyboardInterrupt leaves exec() of a string, as in the standard library's namedtuple, CPython
        # marks the interpreter and, after `python -m`, ends the process by SIGINT whatever the exit code is.
        # The next exec() clears the mark.
        exec("0")
