"""Experiment trackers as Lightning loggers that write into the run folder; only TensorBoard comes by default."""

import warnings
from pathlib import Path

from pytorch_lightning.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger


class TensorBoard(TensorBoardLogger):
    """Event files in the run folder itself."""

    def __init__(self, folder: str) -> None:
        super().__init__(save_dir=folder, name="", version="")


class WeightsAndBiases(WandbLogger):
    """offline: records below the run folder, for `wandb sync` later."""

    def __init__(
        self, folder: str, experiment_name: str, run_name: str, project: str = "evergreen", offline: bool = False
    ) -> None:
        super().__init__(name=run_name, project=project, group=experiment_name, save_dir=folder, offline=offline)


class MLflow(MLFlowLogger):
    """tracking_uri: null keeps the records in a sqlite file of the run folder."""

    def __init__(self, folder: str, experiment_name: str, run_name: str, tracking_uri: str | None = None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # mlflow's own notes on its stores
            uri = tracking_uri or f"sqlite:///{Path(folder) / 'mlflow.db'}"
            super().__init__(experiment_name=experiment_name, run_name=run_name, tracking_uri=uri)
