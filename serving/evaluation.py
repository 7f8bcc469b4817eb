"""Measures a deployed model on the evaluation set of a candidate: python -m serving.evaluation FOLDER."""

import json
import sys
from pathlib import Path
from typing import Any

from serving.client import Client
from serving.delivery import PACKAGE, Put
from utils.files import as_yaml, of_yaml, write_whole
from utils.loading import loading, whole

OF_THE_MODEL = ("height", "width", "channels", "mean", "std", "interpolation", "crop", "class_names")


def fetched(folder: Path, subject: dict[str, Any], candidate: dict[str, Any], client: Client) -> None:
    """A run folder of the subject, whose configuration reads the candidate's data. Raises ValueError without one."""
    if not (subject["configuration_sha256"] and candidate["configuration_sha256"]):
        raise ValueError("a model without its configuration cannot be measured on another set")
    client.fetch(subject["file_sha256"], folder / "model.safetensors")
    client.fetch(subject["manifest_sha256"], folder / "model.json")
    client.fetch(subject["configuration_sha256"], folder / "full_configurations.yaml")
    client.fetch(candidate["configuration_sha256"], folder / "candidate.yaml")
    own, other = (of_yaml((folder / name).read_text()) for name in ("full_configurations.yaml", "candidate.yaml"))
    merged = own | {"datamodule": on_data_of(own["datamodule"], other["datamodule"])}
    write_whole(folder / "full_configurations.yaml", as_yaml(merged))


def on_data_of(own: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Another's images, in one's own shape."""
    return other | {key: own[key] for key in OF_THE_MODEL if key in own}


def measurement_of(folder: Path, put: Put) -> dict[str, Any]:
    """What `main` found, its predictions brought to the store first."""
    found = dict(json.loads((folder / PACKAGE).read_text()))
    return found | {"predictions": put(folder / "predictions.csv")}


def main(folder: Path) -> None:
    """Writes predictions.csv and package.json into the folder."""
    with loading():
        from models.candidate import device_of, of_run
        from models.inference import predict
        from models.outcome import predictions_csv
        from models.run import Run
        from models.tester_settings import TesterSettings
        from serving.packing import measurement

    run = Run(folder)
    config = {key: value for key, value in run.read().items() if key != "record"}
    candidate = of_run(run, config, TesterSettings())
    task, data = candidate.task, candidate.data
    found = predict(task, data, "test", device_of(config))
    evaluation = task.evaluation(found.logits, found.target, data.classes, candidate.temperature)
    told = predictions_csv(found, data, evaluation.task, candidate.temperature)
    write_whole(folder / "predictions.csv", told)
    write_whole(folder / PACKAGE, json.dumps(measurement(evaluation, data, "test")))


if __name__ == "__main__":
    whole(lambda: main(Path(sys.argv[1])))
