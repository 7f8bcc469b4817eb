"""The servers that benchmarks.serving compares with, each as its documentation writes it.

    python -m benchmarks.serving_peers naive|ray PORT MODEL_FOLDER TYPE

naive: FastAPI with a plain `def` endpoint, Pillow and eager float32. ray: Ray Serve with the OpenVINO engine and the
decoding of this project's server, up to 16 images in a batch; so does benchmarks.serving_litserve. All take a form's
file `image` and answer the five likeliest classes.
"""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, UploadFile

from datamodule.preprocessing import Preprocessing
from models.manifest import preprocessing, read_manifest
from models.probabilities import probabilities
from serving.engines.cache import prepared
from serving.engines.engine import Engine
from serving.engines.openvino import OpenVino
from serving.engines.source import source_of

MOST, WAIT_S, TOP = 16, 0.002, 5


def engine_of(folder: Path, kind: Any) -> tuple[Engine, Preprocessing, list[str]]:
    """The same engine for all servers, from where the store keeps it."""
    manifest = read_manifest(folder)
    return prepared(OpenVino(kind), source_of(folder)), preprocessing(manifest), manifest.classes


def told(logits: np.ndarray, classes: list[str]) -> list[dict[str, Any]]:
    """Of one image."""
    shares = probabilities(logits[None])[0]
    return [{"class": classes[place], "probability": float(shares[place])} for place in np.argsort(-shares)[:TOP]]


def naive(port: int, folder: Path, kind: Any) -> None:
    import torch
    import uvicorn
    from PIL import Image
    from torchvision import transforms

    from models.model_file import load_model

    net, manifest = load_model(folder)
    net.eval()
    shape, classes = preprocessing(manifest), manifest.classes
    prepare = transforms.Compose([
        transforms.Resize(int(shape.height / shape.crop)),
        transforms.CenterCrop(shape.height),
        transforms.ToTensor(),
        transforms.Normalize(shape.mean, shape.std),
    ])  # fmt: skip
    app = FastAPI()

    @app.post("/predict")
    def predict(image: UploadFile) -> dict[str, Any]:
        tensor = prepare(Image.open(io.BytesIO(image.file.read())).convert("RGB"))
        with torch.inference_mode():
            shares, places = net(tensor[None])[0].softmax(0).topk(TOP)
        pairs = zip(places.tolist(), shares.tolist(), strict=True)
        return {"top": [{"class": classes[place], "probability": share} for place, share in pairs]}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def ray_serve(port: int, folder: Path, kind: Any) -> None:
    import time

    import ray
    from ray import serve

    app = FastAPI()

    @serve.deployment(num_replicas=1, max_ongoing_requests=64, ray_actor_options={"num_cpus": 0})
    @serve.ingress(app)
    class Predictor:
        def __init__(self) -> None:
            self.engine, self.shape, self.classes = engine_of(folder, kind)

        @serve.batch(max_batch_size=MOST, batch_wait_timeout_s=WAIT_S)
        async def answered(self, images: list[bytes]) -> list[dict[str, Any]]:
            logits = self.engine(np.stack([self.shape.fit(self.shape.read(image)) for image in images]))
            return [{"top": told(own, self.classes)} for own in logits]

        @app.post("/predict")
        async def predict(self, image: UploadFile) -> dict[str, Any]:
            return await self.answered(await image.read())

    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(
        Predictor.bind(),  # type: ignore[attr-defined]
        name="peer",
        route_prefix="/",
    )
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    name, port, folder, kind = sys.argv[1:]
    {"naive": naive, "ray": ray_serve}[name](int(port), Path(folder), kind)
