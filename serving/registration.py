"""`callback=store`: a finished run is registered, by the server where one is named, else in the store's own folder."""

import re
from contextlib import closing
from pathlib import Path
from typing import Any

from datamodule.data import ImageData
from models.outcome import Outcome, tell
from models.task import ImageTask
from serving.client import Client, token_from
from serving.database import has_schema
from serving.delivery import package_of
from serving.package import Package
from serving.packing import Pack
from serving.parts import assemble
from serving.promotion import Rule
from serving.settings import NAME, NAMED, ServingSettings
from serving.verification import verify
from serving.version import code_version
from utils.log import console

REGISTERS = ("operator", "admin")


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
        if not re.fullmatch(NAME, name):
            raise ValueError(f"callback.store.name={name}: use {NAMED}")
        self.name, self.server, self.rule = name, server, rule
        self.token_file, self.certificate = token_file, certificate
        self.settings = ServingSettings(root=root, database=database)

    def check(self) -> None:
        """Raises ValueError, ConnectionError where no model could be registered; to be asked before a training."""
        if self.server is None:
            has_schema(self.settings.folder, self.settings.database)
        else:
            with closing(self._client(self.server)) as client:
                holder = client.get("/api/whoami")
            if holder["role"] not in REGISTERS:
                raise ValueError(
                    f"callback.store.server={self.server}: the token of {holder['name']} has the role "
                    f"{holder['role']}, which may not register a model; give one of an operator"
                )

    def concluded(self, outcome: Outcome, task: ImageTask, data: ImageData) -> None:
        super().concluded(outcome, task, data)
        self.register(outcome)

    def register(self, outcome: Outcome) -> None:
        """Says what became of it. A failure comes after the closing table, with the command that tries it again."""
        folder = outcome.run.folder
        try:
            said = self.registered(folder)
        except (ValueError, OSError) as error:
            tell(outcome)
            raise ValueError(
                f"the run is whole, but not in the store: {error}\ntry again with: python -m serving register {folder}"
            ) from error
        console().print(f"store    {said}", soft_wrap=True)

    def registered(self, folder: Path) -> str:
        """A finished run is brought to the store; what was decided. Raises ValueError, ConnectionError."""
        answer = self._kept(folder) if self.server is None else self._sent(folder, self.server)
        said = "goes live" if answer["promoted"] else "does not go live"
        return f"{self.name}: model {answer['model']} {said}: {answer['why']}"

    def _sent(self, folder: Path, server: str) -> dict[str, Any]:
        with closing(self._client(server)) as client:
            return dict(client.post("/api/models", package_of(folder, self.name, client.put), patient=600.0))

    def _client(self, server: str) -> Client:
        return Client(server, token_from(self.token_file), self.certificate)

    def _kept(self, folder: Path) -> dict[str, Any]:
        """In the store's folder, which a server may serve meanwhile."""
        assert self.rule is not None
        parts = assemble(self.settings, self.rule, code_version(), verify)
        package = Package.model_validate(package_of(folder, self.name, parts.store.blobs.put_file))
        number, verdict = parts.completion.register(package, "train.py")
        parts.database.close()
        return {"model": number, "promoted": verdict.promote, "why": verdict.why}
