"""Corrections by people."""

import hashlib
from typing import Annotated, Any

from fastapi import File, Form, Request, UploadFile
from pydantic import Field, StringConstraints

from datamodule.decode import BadImage
from serving.api.doors import Key, Routes, identity_of
from serving.api.downloads import Download
from serving.api.jobs import Id, Limit
from serving.api.workers import Strict
from serving.feedback import MOST_MARKED, PREDICTION, Feedback
from serving.package import Name
from serving.settings import MEBIBYTE, ServingSettings
from serving.uploads import BROKEN, BadUpload, checked

Prediction = Annotated[str, StringConstraints(pattern=f"^{PREDICTION}$")]
Words = Annotated[str, StringConstraints(max_length=1000)]


class Taken(Strict):
    """ids: of feedback that a training has taken."""

    ids: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(max_length=MOST_MARKED)]


def add_feedback(routes: Routes, feedback: Feedback, settings: ServingSettings) -> None:
    @routes.add("POST", "/api/feedback", "viewer", status_code=201, limit=int(settings.max_upload_mib * MEBIBYTE))
    def correct(
        request: Request,
        image: Annotated[UploadFile, File()],
        endpoint: Annotated[Name, Form()] = "main",
        prediction: Annotated[Prediction, Form()] = "",
        label: Annotated[Words, Form()] = "",
    ) -> dict[str, Any]:
        """An answer was wrong: this image is a `label`, or, without one, something that nobody here knows."""
        data = image.file.read()
        checked(data, int(settings.max_megapixels * 1e6))
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            return feedback.add(endpoint, data, sha256, prediction or None, label, identity_of(request).actor)
        except BadImage as error:
            raise BadUpload(BROKEN, f"the image {error}") from error

    @routes.add("GET", "/api/feedback", "operator")
    def listed(name: Name | None = None, limit: Limit = 200, before: Id | None = None) -> list[dict[str, Any]]:
        """The newest first; name: of an endpoint."""
        return feedback.every(name, limit, before)

    @routes.add("GET", "/api/feedback/{number}/image", "operator", response_class=Download)
    def image_of(number: Key) -> Download:
        return Download(feedback.file(number), media_type="image/png")

    @routes.add("POST", "/api/feedback/consumed", "operator")
    def consumed(taken: Taken) -> dict[str, int]:
        """Marks what a training has taken."""
        return {"consumed": feedback.consume(taken.ids)}

    @routes.add("DELETE", "/api/feedback/{number}", "admin", status_code=204)
    def delete(number: Key) -> None:
        """The correction, and its image unless somebody else spoke of it, too."""
        feedback.delete(number)
