"""Files by their sha256: how much is here, a further piece, the whole."""

from typing import Annotated

from fastapi import Header, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from serving.api.doors import Routes, identity_of
from serving.api.downloads import Download
from serving.api.gate import too_large
from serving.blobs import SHA256, Blobs, Part

Sha256 = Annotated[str, Path(pattern=f"^{SHA256}$")]
PIECE = 1 << 20  # bytes written at a time


def add_blobs(routes: Routes, blobs: Blobs, limit: int) -> None:
    """limit: bytes of a file."""

    @routes.add("HEAD", "/api/blobs/{sha256}", "worker", "operator")
    def offset(sha256: Sha256, request: Request) -> Response:
        """Upload-Offset: bytes that are here; Upload-Complete: whether that is all."""
        if blobs.has(sha256):
            blobs.touch(sha256)
            return _state(blobs.size(sha256), complete=True)
        return _state(blobs.part(sha256, _owner(request)).offset, complete=False)

    @routes.add("PATCH", "/api/blobs/{sha256}", "worker", "operator", limit=limit)
    async def append(
        sha256: Sha256,
        request: Request,
        upload_offset: Annotated[int, Header(ge=0)],
        upload_length: Annotated[int, Header(gt=0)],
    ) -> Response:
        """A piece of any size, from Upload-Offset on; with the last one the content is checked against its name."""
        if upload_length > limit:
            raise too_large(limit)
        if blobs.has(sha256):
            return _state(blobs.size(sha256), complete=True)
        part = blobs.part(sha256, _owner(request))
        with part.held(upload_offset):
            await _received(part, request, upload_length)
            here = await run_in_threadpool(part.keep)
            if here == upload_length:
                await run_in_threadpool(part.finish, upload_length)
        return _state(here, complete=here == upload_length)

    @routes.add("GET", "/api/blobs/{sha256}", "worker", "viewer")
    def whole(sha256: Sha256) -> Download:
        """The content; Range requests are answered."""
        if not blobs.has(sha256):
            raise LookupError(f"there is no file {sha256}")
        return Download(blobs.path(sha256), media_type="application/octet-stream", headers={"ETag": f'"{sha256}"'})


async def _received(part: Part, request: Request, length: int) -> None:
    """Writes what arrives; a connection that breaks leaves what was written, to go on from."""
    pending, here = bytearray(), part.offset
    async for piece in request.stream():
        pending += piece
        if here + len(pending) > length:
            raise too_large(length)
        if len(pending) >= PIECE:
            await run_in_threadpool(part.write, bytes(pending))
            here, pending = here + len(pending), bytearray()
    await run_in_threadpool(part.write, bytes(pending))


def _owner(request: Request) -> str:
    """Nobody writes into what somebody else is sending."""
    return str(identity_of(request).token_id)


def _state(offset: int, complete: bool) -> Response:
    return Response(
        status_code=204, headers={"Upload-Offset": str(offset), "Upload-Complete": "?1" if complete else "?0"}
    )
