"""Labels by a page: python train.py active=standalone active/oracle=web, then open the address it says."""

import logging
import time
from collections.abc import Sequence

from active.oracles.oracle import Desk, Oracle, Question
from active.oracles.sheet import Sheet
from active.oracles.web_server import Server

log = logging.getLogger(__name__)


class Web(Oracle):
    """Serves the round's images one by one to any number of labellers; an image is out to one of them at a time.

    host: 127.0.0.1 is this machine alone; 0.0.0.0 lets others in the network label, who need the key in the address.
    port: 0 takes a free one. lease_s: after so long without an answer an image is given to another labeller.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 8500, lease_s: float = 120.0) -> None:
        if lease_s <= 0:
            raise ValueError(f"active.oracle.lease_s={lease_s}: give more than 0 seconds")
        self.host, self.port = host, port
        self.sheet = Sheet(lease_s, time.monotonic)
        self._server: Server | None = None

    def answer(self, questions: Sequence[Question], desk: Desk) -> None:
        self.sheet.lay_out(questions, desk)
        if self._server is None:
            self._server = Server(self.sheet, self.host, self.port)
            self._server.start()
        log.info("label %d images at %s", len(questions), self._server.address)
        try:
            self.sheet.wait()
        finally:
            self.sheet.clear()
