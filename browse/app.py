"""Puts the application together: routes, static files, errors, and the guard around all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.resources import files

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ..core.errors import CatalogBusy, DerlemError, UnknownManifest
from ..exploration import BadRequest, QueryTimeout, Unavailable, UnknownItem
from ..project import Project
from .rendering import Renderer
from .security import Guard
from .views import Views

STATIC = {
    "browse.css": "text/css",
    "browse.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "htmx.LICENSE.txt": "text/plain",
}


def create_app(project: Project, hosts: Iterable[str] | None, token: str | None) -> ASGIApp:
    """Return the application; for `hosts` and `token` see `Guard`."""
    render = Renderer(project.workspace.root.name)
    views = Views(project, render)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await run_in_threadpool(views.close)

    def derlem_error(request: Request, error: Exception) -> Response:
        return render.page(request, "error.html", _status(error), message=str(error))

    def http_error(request: Request, error: Exception) -> Response:
        code = error.status_code if isinstance(error, HTTPException) else 500
        return render.page(request, "error.html", code, message="there is no such page")

    app = Starlette(
        routes=[
            Route("/", views.overview),
            Route("/items", views.items),
            Route("/count", views.count),
            Route("/items/{item_id}", views.item),
            Route("/items/{item_id}/history", views.history),
            Route("/items/{item_id}/original", views.original),
            Route("/thumbnails/{sha256}", views.thumbnail),
            Route("/images/{sha256}", views.image),
            Route("/manifests", views.manifests),
            Route("/manifests/{corpus}", views.manifest),
            Route("/compare", views.compare),
            Route("/runs", views.runs),
            Route("/events", views.events),
            Route("/sql", views.sql, methods=["GET", "POST"]),
            Route("/static/{name}", _static),
        ],
        exception_handlers={DerlemError: derlem_error, HTTPException: http_error},
        lifespan=lifespan,
    )
    return Guard(app, hosts, token)


def _status(error: Exception) -> int:
    if isinstance(error, (UnknownItem, UnknownManifest, Unavailable)):
        return 404
    if isinstance(error, BadRequest):
        return 400
    if isinstance(error, (CatalogBusy, QueryTimeout)):
        return 503
    return 500


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return PlainTextResponse("there is no such file", 404)
    data = files("derlem.browse").joinpath("static", name).read_bytes()
    return Response(data, media_type=STATIC[name], headers={"Cache-Control": "private, max-age=600"})
