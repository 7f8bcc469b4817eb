"""Applies a trained model to images without labels: python predict.py source=IMAGES [KEY=VALUE ...]; see --help."""

import hydra
from omegaconf import DictConfig

from models.prediction_settings import PredictionSettings
from utils.build import settings
from utils.configuration import command, plain
from utils.loading import loading
from utils.log import to_terminal


@hydra.main(version_base="1.3", config_path="configuration", config_name="predict")
def main(cfg: DictConfig) -> None:
    """From the command line to a table of answers and a line that says what was done."""
    to_terminal()
    chosen = settings(PredictionSettings, plain(cfg))
    with loading():
        from models.prediction import predict

    print(predict(chosen))


if __name__ == "__main__":
    command(main, interrupted="interrupted: the same command goes on from here")
