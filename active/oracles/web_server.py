"""The labelling page's server."""

import io
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from PIL import Image
from pydantic import BaseModel, Field

from active.oracles.sheet import Sheet

PAGE = Path(__file__).parent / "page"
TYPES = {"index.html": "text/html", "label.js": "text/javascript", "label.css": "text/css"}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
LOCAL = ("127.0.0.1", "localhost", "::1")
STARTING_S = 30.0


class Answer(BaseModel):
    """label null: skipped."""

    labeller: str = Field(min_length=1, max_length=64)
    image: str
    label: str | None


class Labeller(BaseModel):
    labeller: str = Field(min_length=1, max_length=64)


def application(sheet: Sheet, key: str | None = None) -> FastAPI:
    """key: what callers must give as `?key=` or cookie; None: nobody from outside can call."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def guarded(request: Request, call_next: Any) -> Response:
        if refusal := refused(request, key):
            return Response(refusal, status_code=403, media_type="text/plain")
        response: Response = await call_next(request)
        response.headers.update(HEADERS)
        if key is not None and request.query_params.get("key") == key:
            response.set_cookie("key", key, httponly=True, samesite="strict")
        return response

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", media_type=TYPES["index.html"])

    @app.get("/page/{name}")
    def part(name: str) -> FileResponse:
        if name not in TYPES:
            raise HTTPException(404)
        return FileResponse(PAGE / name, media_type=TYPES[name])

    @app.post("/next")
    def following(asked: Labeller) -> dict[str, Any]:
        return sheet.next(asked.labeller)

    @app.post("/answer")
    def answer(given: Answer) -> dict[str, bool]:
        try:
            return {"kept": sheet.answer(given.labeller, given.image, given.label)}
        except ValueError as error:
            raise HTTPException(422, str(error)) from error

    @app.post("/undo")
    def undo(asked: Labeller) -> dict[str, bool]:
        return {"undone": sheet.undo(asked.labeller)}

    @app.get("/image/{sha}")
    def image(sha: str) -> Response:
        question, desk = _known(sheet, sha)
        return Response(png(desk.image(question.row)), media_type="image/png")

    @app.get("/guess/{sha}")
    def guess(sha: str) -> dict[str, Any]:
        question, _ = _known(sheet, sha)
        label, probability = question.guess or (None, None)
        return {"label": label, "probability": probability}

    return app


def _known(sheet: Sheet, sha: str) -> Any:
    found = sheet.question(sha)
    if found is None:
        raise HTTPException(404, "this image is not asked for")
    return found


def refused(request: Request, key: str | None) -> str:
    """Why a request is not answered, or empty: another site's page must not label through a visitor's browser."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return "asked from another site"
    if key is None:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
        return "" if host in LOCAL else "asked under a foreign name"
    given = request.query_params.get("key") or request.cookies.get("key") or ""
    return "" if secrets.compare_digest(given, key) else "the key is missing: open the whole address that train.py said"


def png(pixels: Any) -> bytes:
    """Small images as they are, which a browser enlarges without blurring."""
    content = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels[..., :3]).save(content, "png")
    return content.getvalue()


class Server:
    """Runs beside the loop for as long as the process lives."""

    def __init__(self, sheet: Sheet, host: str, port: int) -> None:
        self.host = host
        self.key = None if host in LOCAL else secrets.token_urlsafe(12)
        try:
            self._socket = socket.create_server((host, port))
        except OSError as error:
            raise ValueError(
                f"active.oracle.port={port}: cannot listen on {host} ({error.strerror}); give another port, 0 for any"
            ) from error
        config = uvicorn.Config(application(sheet, self.key), log_level="warning", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)

    @property
    def address(self) -> str:
        name = socket.gethostname() if self.host == "0.0.0.0" else self.host
        port = self._socket.getsockname()[1]
        return f"http://{name}:{port}/" + (f"?key={self.key}" if self.key else "")

    def start(self) -> None:
        threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True).start()
        until = time.monotonic() + STARTING_S
        while not self._server.started:
            if time.monotonic() > until:
                raise OSError(f"the labelling page did not start within {STARTING_S:.0f} s")
            time.sleep(0.02)

    def stop(self) -> None:
        self._server.should_exit = True
