"""LitServe with this project's engine and decoding: python -m benchmarks.serving_litserve PORT MODEL_FOLDER [TYPE]"""

import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from fastapi import Request

from benchmarks.serving_peers import MOST, WAIT_S, engine_of, told
from datamodule.decode import Pixels
from serving.engines.engine import Logits


class Api(litserve.LitAPI):
    """folder, kind: of the model and its engine; LitServe sends it to the process that computes."""

    def __init__(self, folder: Path, kind: Any) -> None:
        super().__init__(max_batch_size=MOST, batch_timeout=WAIT_S)
        self.folder, self.kind = folder, kind

    def setup(self, device: str) -> None:
        self.engine, self.shape, self.classes = engine_of(self.folder, self.kind)

    def decode_request(self, request: Request) -> Pixels:
        """LitServe reads the annotation, and hands over the form of such a request."""
        return self.shape.fit(self.shape.read(request["image"].file.read()))

    def batch(self, inputs: list[Pixels]) -> Pixels:
        return np.stack(inputs)

    def predict(self, pixels: Pixels) -> Logits:
        """LitServe hands a single image over without a batch."""
        return self.engine(pixels) if pixels.ndim == 4 else self.engine(pixels[None])[0]

    def unbatch(self, output: Logits) -> list[Logits]:
        return list(output)

    def encode_response(self, output: Logits) -> dict[str, Any]:
        return {"top": told(output, self.classes)}


def main(port: str, folder: str, kind: str = "bf16") -> None:
    server = litserve.LitServer(Api(Path(folder), kind), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(port), log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
