"""The spider's process: reads a CrawlSpec from stdin, crawls, exits with its parent.

`python -m derlem.adapters.scrape FD PARENT`: FD is the pipe for what is found, PARENT who started it.
"""

from __future__ import annotations

import os
import select
import sys
import threading


def _die_with(parent: int) -> None:
    """End this process when its starter closes stdin or is gone, whatever else it is doing."""
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], 1.0)
        if ready and not os.read(0, 1):
            break
    os._exit(1)


def main(descriptor: int, parent: int) -> int:
    """Crawl; the exit code is 0 when the crawl came to its end, whatever single pages did."""
    with open(0, "rb", buffering=0, closefd=False) as spec_in:  # what follows belongs to the watcher
        line = spec_in.readline()
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()

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
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
