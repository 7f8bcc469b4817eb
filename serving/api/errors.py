"""What went wrong as JSON: a person's mistake in words, the server's own with a number to look it up in the log."""

import logging
from secrets import token_hex

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import ErrorDetails
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException

from serving.batching import Unavailable
from serving.blobs import DIGITS, SHA256, Busy, Full, WrongOffset
from serving.database import AWAY, trouble
from serving.deployments import Conflict
from serving.feedback import PREDICTION
from serving.jobs import Late
from serving.rates import TooOften
from serving.settings import NAME, NAMED
from serving.uploads import BadUpload
from serving.workers import OtherVersion
from utils.signature import fitting
from utils.words import written

log = logging.getLogger(__name__)

SHOWN = 80  # characters of a value that does not fit
PATTERNS = {  # in words
    f"^{NAME}$": NAMED,
    f"^{SHA256}$": DIGITS,
    f"^{PREDICTION}$": "32 digits of 0-9 and a-f, or nothing",
}

STATUS: dict[type[Exception], int] = {
    LookupError: 404,
    Late: 409,
    Busy: 409,
    Conflict: 409,
    OtherVersion: 409,
    WrongOffset: 409,
    Full: 507,
    Unavailable: 503,
    TooOften: 429,
    ValueError: 422,
    DataError: 422,
    **dict.fromkeys(AWAY, 503),
}


def answer_errors(app: FastAPI) -> None:
    """Adds the handlers."""
    for kind in STATUS:
        app.add_exception_handler(kind, _known)
    app.add_exception_handler(DataError, _unkept)  # type: ignore[arg-type]
    for kind in AWAY:
        app.add_exception_handler(kind, _no_database)
    for mistake in (KeyError, IndexError):  # are LookupErrors too, but the server's own
        app.add_exception_handler(mistake, _unknown)
    app.add_exception_handler(HTTPException, _of_http)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _unknown)


def status_of(error: Exception) -> int:
    """Of the answer that this error ends a request with."""
    if isinstance(error, HTTPException):
        return error.status_code
    if isinstance(error, BadUpload):
        return error.status
    if isinstance(error, KeyError | IndexError):
        return 500
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


async def _known(request: Request, error: Exception) -> JSONResponse:
    headers = {"Upload-Offset": str(error.offset)} if isinstance(error, WrongOffset) else {}
    headers |= {"Retry-After": str(error.after_seconds)} if isinstance(error, Unavailable | TooOften) else {}
    if type(error) is ValueError:  # as a library raises it too: it may be the server's own mistake
        log.info("%s %s is refused: %s", request.method, request.url.path, error, exc_info=error)
    said = error.strerror if isinstance(error, Full) else str(error)
    return JSONResponse({"error": said}, status_of(error), headers=headers)


async def _no_database(request: Request, error: Exception) -> JSONResponse:
    log.warning("%s %s: %s: %s", request.method, request.url.path, trouble(error), str(error).splitlines()[0])
    return JSONResponse({"error": trouble(error)}, 503, headers={"Retry-After": "1"})


async def _unkept(request: Request, error: DataError) -> JSONResponse:
    log.warning("%s %s: the database cannot keep this: %s", request.method, request.url.path, error.orig)
    return JSONResponse({"error": f"the database cannot keep this: {error.orig}"}, 422)


async def _of_http(request: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """The first few problems."""
    return JSONResponse({"error": "; ".join(map(_problem, error.errors()[:3]))}, 422)


def _problem(error: ErrorDetails) -> str:
    """Which part of a request, what stands there where it is a single value, and what would fit."""
    name, given = ".".join(map(str, error["loc"])), error["input"]
    is_single = isinstance(given, str | int | float | None) and error["type"] not in ("missing", "json_invalid")
    wanted = PATTERNS[error["ctx"]["pattern"]] if error["type"] == "string_pattern_mismatch" else fitting(error)
    return f"{name}{f'={written(given):.{SHOWN}}' if is_single else ''}: expected {wanted}"


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    number = token_hex(4)
    log.error("request %s: %s %s", number, request.method, request.url.path, exc_info=error)
    return JSONResponse({"error": "something went wrong in the server", "id": number}, 500)
