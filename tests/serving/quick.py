"""A server without verification and a worker whose training takes a moment, for tests that kill many of them.

python tests/serving/quick.py server ROOT PORT LEASE | worker URL LOGS SECONDS | train FOLDER SECONDS | measure FOLDER
"""

import json
import sys
import time
from pathlib import Path

from safetensors.numpy import save

from tests.serving.material import OTHER_SET, SET, VERSION, manifest, weights
from utils.files import write_whole


def server(root: str, port: str, lease: str) -> None:
    from serving.api.app import create_app
    from serving.parts import assemble
    from serving.promotion import Better
    from serving.server import serve
    from serving.settings import ServingSettings

    chosen = ServingSettings(root=root, port=int(port), lease_seconds=float(lease), local_workers=0, max_attempts=1000)
    parts = assemble(chosen, Better(), VERSION, lambda blobs, files: None)
    parts.tokens.first(Path(root) / "tokens")
    serve(parts, create_app(parts), lambda address: print(address, flush=True))


def worker(address: str, logs: str, seconds: str) -> None:
    from serving import client
    from serving.worker import Worker

    client.LONGEST_PAUSE = 1.0  # seconds between two tries to reach a server that is killed again and again

    class Quick(Worker):
        def _line(self, job, folder):
            return ["-m", "tests.serving.quick", "train", str(folder), seconds]

    Quick(address, logs=logs, poll_seconds=0.05, keep_runs=False).run()


def train(folder: str, seconds: str) -> None:
    place, number = Path(folder), int(folder.rpartition("job-")[2].partition("-")[0])
    tensors = weights(number)
    write_whole(place / "metrics.csv", f"step,val/accuracy\n1,0.{number:03d}\n")
    print(f"training {number}", flush=True)
    time.sleep(float(seconds))
    measured = {"set_digest": SET, "split": "test", "images": 9, "figures": {"accuracy": number / 1000}}
    write_whole(place / "predictions_test.csv", f"path,label,predicted\nx,a,{number}\n")
    write_whole(place / "full_configurations.yaml", "{}\n")
    write_whole(place / "golden.safetensors", save(tensors))
    write_whole(place / "model.safetensors", save(tensors))
    write_whole(place / "model.json", manifest(tensors))
    write_whole(place / "package.json", json.dumps({"measurement": measured, "split": {}, "code_version": VERSION}))


def measure(folder: str) -> None:
    write_whole(Path(folder) / "predictions.csv", "path,label,predicted\nx,a,b\n")
    measured = {"set_digest": OTHER_SET, "split": "test", "images": 9, "figures": {"accuracy": 0.5}}
    write_whole(Path(folder) / "package.json", json.dumps(measured))


if __name__ == "__main__":
    {"server": server, "worker": worker, "train": train, "measure": measure}[sys.argv[1]](*sys.argv[2:])
