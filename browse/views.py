"""The pages: each reads through `project.explore` and renders a template."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from ..exploration import BadRequest, PageKey, Unavailable
from ..project import Project
from .forms import active, address, parse_filter
from .live import Progress, Streams
from .rendering import Renderer
from .thumbnails import Thumbnails

PAGE_SIZE = 60
IMMUTABLE = "private, max-age=3600, immutable"
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
_SHA256 = re.compile("[0-9a-f]{64}")
_DIFF_ROWS = 1_000
EXAMPLES = (
    "FROM composition",
    "SELECT reason, count(*) AS items FROM items WHERE status = 'rejected' GROUP BY ALL ORDER BY items DESC",
    "FROM quota_report",
)


class Views:
    """The handlers of all routes. Those that are no coroutines run in a thread each."""

    def __init__(self, project: Project, render: Renderer) -> None:
        self._project = project
        self._explore = project.explore
        self._render = render
        self._thumbnails = Thumbnails(self._explore)
        self._streams = Streams(project.last_run, self._progress)

    def close(self) -> None:
        """Remove the thumbnails and close the catalog."""
        self._thumbnails.close()
        self._explore.close()

    def overview(self, request: Request) -> Response:
        """The sources with their items by status, and the last run."""
        run = Progress(self._project.last_run(), None)
        return self._render.page(
            request,
            "overview.html",
            sources=self._explore.progress(),
            progress=run,
            manifests=self._explore.manifests(),
        )

    def items(self, request: Request) -> Response:
        """A page of items."""
        chosen = parse_filter(request.query_params)
        after, before = (self._key(request, name) for name in ("after", "before"))
        page = self._explore.page(chosen, PAGE_SIZE, after=after, before=before)
        links = {
            "before": address("/items", chosen, before=page.before) if page.before else None,
            "after": address("/items", chosen, after=page.after) if page.after else None,
            "count": address("/count", chosen),
        }
        return self._render.page(
            request,
            "items.html",
            page=page,
            links=links,
            chosen=active(chosen),
            facets=self._explore.facets(),
        )

    def count(self, request: Request) -> Response:
        """The number of items of a filter, as text."""
        return PlainTextResponse(f"{self._explore.count(parse_filter(request.query_params)):,}")

    def item(self, request: Request) -> Response:
        """One item."""
        return self._render.page(
            request, "item.html", item=self._explore.item(request.path_params["item_id"])
        )

    def history(self, request: Request) -> Response:
        """The rows of an item in the segments, as a fragment."""
        item = self._explore.item(request.path_params["item_id"])
        columns = item.columns
        found = self._explore.history(columns["source"], columns["item_id"])
        return self._render.page(request, "history.html", history=found)

    def original(self, request: Request) -> Response:
        """The head of an item's original, as a fragment."""
        found = self._explore.original(request.path_params["item_id"])
        return self._render.page(request, "original.html", original=found)

    def thumbnail(self, request: Request) -> Response:
        """A thumbnail by the hash of its image."""
        data = self._thumbnails.get(self._hash(request))
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": IMMUTABLE})

    def image(self, request: Request) -> Response:
        """A stored image by its hash."""
        data, media_type = self._explore.image(self._hash(request))
        if media_type not in _IMAGE_TYPES:
            raise Unavailable("the media type of the image is not one that derlem stores")
        return Response(data, media_type=media_type, headers={"Cache-Control": IMMUTABLE})

    def manifests(self, request: Request) -> Response:
        """All manifests."""
        return self._render.page(request, "manifests.html", manifests=self._explore.manifests())

    def manifest(self, request: Request) -> Response:
        """A node of a manifest's category tree."""
        corpus, node = request.path_params["corpus"], request.query_params.get("node", "")
        rows = self._explore.allocations(corpus, node)
        return self._render.page(request, "manifest.html", corpus=corpus, node=node, rows=rows)

    def compare(self, request: Request) -> Response:
        """Two manifests beside each other, at one node and its children."""
        values = request.query_params
        a, b, node = values.get("a", ""), values.get("b", ""), values.get("node", "")
        found = self._explore.diff(a, b) if a and b else None
        rows = [
            row
            for row in (found.nodes if found else ())
            if row.category == node or (not row.source and row.category.rpartition("/")[0] == node)
        ]
        return self._render.page(
            request,
            "compare.html",
            manifests=self._explore.manifests(),
            a=a,
            b=b,
            node=node,
            rows=rows[:_DIFF_ROWS],
            compared=found is not None,
        )

    def runs(self, request: Request) -> Response:
        """The runs, with the progress of the running one."""
        progress = Progress(self._project.last_run(), None)
        return self._render.page(request, "runs.html", progress=progress, runs=self._explore.runs())

    async def events(self, request: Request) -> Response:
        """The progress of the running run, as server-sent events."""
        if self._streams.full:
            return PlainTextResponse("too many open pages show the progress", 503)
        return StreamingResponse(self._streams.events(), media_type="text/event-stream")

    async def sql(self, request: Request) -> Response:
        """The form for a query, and the answer to one."""
        if request.method != "POST":
            return self._render.page(request, "sql.html", query="", answer=None, error="", examples=EXAMPLES)
        body = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        text = body.get("query", [""])[0]
        return await run_in_threadpool(self._answer, request, text)

    def _answer(self, request: Request, text: str) -> Response:
        from ..core.errors import DerlemError

        answer, error = None, ""
        try:
            answer = self._explore.query(text)
        except DerlemError as failed:
            error = str(failed)
        return self._render.page(
            request, "sql.html", query=text, answer=answer, error=error, examples=EXAMPLES
        )

    def _progress(self, progress: Progress) -> str:
        return self._render.text("progress.html", progress=progress)

    @staticmethod
    def _key(request: Request, name: str) -> PageKey | None:
        text = request.query_params.get(name, "")
        return PageKey.parse(text) if text else None

    @staticmethod
    def _hash(request: Request) -> str:
        sha256: str = request.path_params["sha256"]
        if not _SHA256.fullmatch(sha256):
            raise BadRequest("not a sha256")
        return sha256
