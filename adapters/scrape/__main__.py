"""The spider's process: reads a CrawlSpec from stdin, crawls, exits with its parent.

`python -m derlem.adapters.scrape FD`: FD is the pipe to which the results are written.
"""

from __future__ import annotations

import os
import sys

from ...core.processes import exit_with_parent


def main(descriptor: int) -> int:
    """Crawl; the exit code is 0 when the crawl finished, even if single pages failed."""
    with open(0, "rb", buffering=0, closefd=False) as spec_in:  # `exit_with_parent` reads the rest
        line = spec_in.readline()
    exit_with_parent()

    import json

    try:
        from .crawl import Crawl, Pipe
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith(__package__.partition(".")[0]):
            raise
        os.write(descriptor, json.dumps({"kind": "missing", "module": error.name}).encode() + b"\n")
        return 2

    from ...core.errors import ConfigError
    from .rules import CrawlSpec

    pipe = Pipe(descriptor)
    spec = CrawlSpec.model_validate_json(line)
    try:
        Crawl(spec, pipe).run()
    except ConfigError as error:
        pipe.write({"kind": "misdeclared", "message": error.message, "key": error.key})
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
