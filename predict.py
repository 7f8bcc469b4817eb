"""Applies a trained model to images without labels: python predict.py source=IMAGES [KEY=VALUE ...]; see --help."""

import sys

import hydra
from omegaconf import DictConfig

from models.prediction_settings import PredictionSettings
from utils.build import command, plain, settings
from utils.log import to_terminal


@hydra.main(version_base="1.3", config_path="configuration", config_name="predict")
def main(cfg: DictConfig) -> None:
    """From the command line to a table of answers and a line that says what was done."""
    to_terminal()
    print(predicted(settings(PredictionSettings, plain(cfg))))


def predicted(chosen: PredictionSettings) -> object:
    """What was done; an interruption ends the process with the usual status after the answers so far are saved."""
    from models.prediction import predict

    try:
        return predict(chosen)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here")
        sys.exit(130)


if __name__ == "__main__":
    command(main)
