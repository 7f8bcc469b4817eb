"""A file as an answer, whole or the part that is asked for."""

from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

LONGEST_RANGE = 80  # characters that are said again


class Download(FileResponse):
    """A part by Range; one that the file does not have is refused as everything else is, in JSON and in words."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = list[int]()

        async def unless_refused(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                refused.append(message["status"])
            if not refused:
                await send(message)

        await super().__call__(scope, receive, unless_refused)
        if refused:
            asked, there = Headers(scope=scope)["range"][:LONGEST_RANGE], self.headers["content-length"]
            why = f"Range: {asked}: the file has {there} bytes; write bytes=FIRST-LAST of them, or leave Range out"
            raise HTTPException(refused[0], why, {"Content-Range": f"bytes */{there}"})
