"""Images in, answers out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import getrandbits
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from serving.api.doors import Routes, identity_of
from serving.api.errors import status_of
from serving.bundle import Bundle
from serving.endpoints import Serving
from serving.metrics import Metrics
from serving.package import Name
from serving.rates import Rates
from serving.settings import MEBIBYTE, ServingSettings
from serving.uploads import UNKNOWN_TYPE, BadUpload, is_image

FIELD = "image"
OF_CURL = "application/x-www-form-urlencoded"  # what curl --data-binary calls every body, an image too
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            **{f"image/{kind}": {"schema": {"type": "string", "format": "binary"}} for kind in ("jpeg", "png", "webp")},
        },
    }
}

TopK = Annotated[int, Query(ge=1, le=1000)]
Deadline = Annotated[int | None, Query(ge=1, le=600_000)]


def add_predict(routes: Routes, serving: Serving, settings: ServingSettings, metrics: Metrics) -> None:
    limit, rates = int(settings.max_upload_mib * MEBIBYTE), Rates(settings.requests_per_second)

    async def answered(name: str, request: Request, top_k: int, deadline_ms: int | None) -> JSONResponse:
        with counted(metrics, name):
            rates.take(identity_of(request).token_id)
            images = [(new_key(), data) for data in await images_of(request, settings.max_images)]
            seconds = settings.deadline_seconds if deadline_ms is None else deadline_ms / 1000
            bundle, answers = await serving.answer(name, images, top_k, seconds)
        told = [{"id": key} | answer for (key, _), answer in zip(images, answers, strict=True)]
        return JSONResponse(reply(bundle, told))

    @routes.add("POST", "/predict", "viewer", limit=limit, openapi_extra=BODY)
    async def predict(
        request: Request,
        top_k: TopK = 5,
        deadline_ms: Deadline = None,
    ) -> JSONResponse:
        """What the live model of the endpoint `main` says about one or several images."""
        return await answered("main", request, top_k, deadline_ms)

    @routes.add("POST", "/predict/{name}", "viewer", limit=limit, openapi_extra=BODY)
    async def predict_at(
        name: Name,
        request: Request,
        top_k: TopK = 5,
        deadline_ms: Deadline = None,
    ) -> JSONResponse:
        """The same of another endpoint."""
        return await answered(name, request, top_k, deadline_ms)

    @routes.add("GET", "/api/serving", "viewer")
    async def state() -> list[dict[str, Any]]:
        """What this process answers with on each endpoint."""
        return serving.state()


@contextmanager
def counted(metrics: Metrics, name: str) -> Iterator[None]:
    """Tells the metrics how long a request took and how it ended; what is no endpoint's counts for none."""
    began, status = time.perf_counter(), 500
    try:
        yield
        status = 200
    except Exception as error:
        status = status_of(error)
        raise
    finally:
        if status != 404:
            metrics.answered(name, status, time.perf_counter() - began)


def new_key() -> str:
    """Names an answer. No secret: asking the system for chance would let go of the interpreter, and wait for it."""
    return f"{getrandbits(128):032x}"


def reply(bundle: Bundle, told: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole answer; by the canary it says so."""
    facts = {
        "endpoint": bundle.endpoint,
        "generation": bundle.generation,
        "model": bundle.named,
        "task": bundle.manifest.task,
        "predictions": told,
    }
    return facts | ({"canary": True} if bundle.role == "canary" else {})


def may_be_image(kind: str) -> bool:
    """Whether a body of this type is looked at as an image; where none is named, too."""
    return kind in ("", "application/octet-stream") or kind.startswith("image/")


async def images_of(request: Request, most: int) -> list[bytes]:
    """The files of a form's field `image`, or the body itself. Raises BadUpload, HTTPException."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        data = await request.body()
        if not (may_be_image(kind) or (kind == OF_CURL and is_image(data))):
            raise BadUpload(
                UNKNOWN_TYPE, f"send an image, or a form with files in its field {FIELD!r}, not {kind[:80]}"
            )
        return [data]
    async with request.form(max_files=most, max_fields=8) as form:
        files = [value for value in form.getlist(FIELD) if isinstance(value, UploadFile)]
        if not files:
            raise HTTPException(422, f"the form has no file in a field {FIELD!r}")
        return [await file.read() for file in files]
