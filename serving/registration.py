"""`callback=store`: a finished run is registered, by the server where one is named, else in the store's own folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datamodule.data import ImageData
from models.task import ImageTask
from serving.client import Client, token_from
from serving.delivery import package_of
from serving.package import Package
from serving.packing import Pack
from serving.parts import assemble
from serving.promotion import Rule
from serving.settings import ServingSettings
from serving.verification import verify
from serving.version import code_version
from utils.log import console

if TYPE_CHECKING:
    from models.outcome import Outcome


class Register(Pack):
    """name: of the model, and of the endpoint on which it may go live. rule: decides where no server does."""

    def __init__(
        self,
        name: str = "main",
        server: str | None = None,
        token_file: str | None = None,
        certificate: str | None = None,
        root: str = "store",
        database: str | None = None,
        rule: Rule | None = None,
    ) -> None:
        self.name, self.server, self.rule = name, server, rule
        self.token_file, self.certificate = token_file, certificate
        self.settings = ServingSettings(root=root, database=database)

    def concluded(self, outcome: "Outcome", task: ImageTask, data: ImageData) -> None:
        super().concluded(outcome, task, data)
        answer = self._registered(outcome.run.folder)
        said = "goes live" if answer["promoted"] else "does not go live"
        console().print(f"store    {self.name}: model {answer['model']} {said}: {answer['why']}", soft_wrap=True)

    def _registered(self, folder: Path) -> dict[str, Any]:
        if self.server is None:
            return self._kept(folder)
        client = Client(self.server, token_from(self.token_file), self.certificate)
        try:
            return dict(client.post("/api/models", package_of(folder, self.name, client.put), patient=600.0))
        finally:
            client.close()

    def _kept(self, folder: Path) -> dict[str, Any]:
        """In the store's folder, which a server may serve meanwhile."""
        assert self.rule is not None
        parts = assemble(self.settings, self.rule, code_version(), verify)
        package = Package.model_validate(package_of(folder, self.name, parts.store.blobs.put_file))
        number, verdict = parts.completion.register(package, "train.py")
        parts.database.close()
        return {"model": number, "promoted": verdict.promote, "why": verdict.why}
