"""The pages: files that are read once, and headers by which a browser loads nothing from elsewhere."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from serving.api.doors import PUBLIC, Routes

FOLDER = Path(__file__).parents[1] / "pages"
ADDRESSES = {"/": "demo.html", "/store": "store.html"}  # the pages themselves; what they load lies below /pages
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asks each time, and is mostly answered 304
}


@dataclass(frozen=True)
class File:
    """A file in memory, with what it is answered with."""

    content: bytes
    headers: dict[str, str]

    def answer(self, request: Request) -> Response:
        """The content, or that the browser's copy is still right."""
        known = request.headers.get("if-none-match", "")
        if self.headers["ETag"] in known:
            return Response(status_code=304, headers=self.headers)
        return Response(self.content, headers=self.headers)


def read(file: Path) -> File:
    content = file.read_bytes()
    kind = {"Content-Type": f"{KINDS[file.suffix]}; charset=utf-8", "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
    return File(content, HEADERS | kind)


def add_pages(routes: Routes) -> None:
    """They hold no secret and so are public; whatever they show they ask for with the visitor's token."""
    files = {file.name: read(file) for file in sorted(FOLDER.iterdir()) if file.suffix in KINDS}

    def page(file: File) -> Callable[[Request], Awaitable[Response]]:
        async def shown(request: Request) -> Response:
            return file.answer(request)

        return shown

    for address, name in ADDRESSES.items():
        routes.add("GET", address, PUBLIC, include_in_schema=False)(page(files[name]))

    @routes.add("GET", "/pages/{name}", PUBLIC, include_in_schema=False)
    async def part(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404, "there is no such part of the pages")
        return files[name].answer(request)
