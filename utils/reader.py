"""Standard output whose reader may go before the process is done, as in `python train.py | head`."""

import io
import logging
import os
import signal
import sys
from typing import TextIO

log = logging.getLogger(__name__)


class Read(io.TextIOWrapper):
    """As the stream it stands in for; once nobody reads it any more it ends the process as SIGTERM does.

    So a training saves its state and a search its journal, and nothing is said of it: all further words go nowhere.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream.buffer, stream.encoding, stream.errors, line_buffering=True)
        self.former = stream  # which closes the buffer when it is freed

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._end()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._end()

    def _end(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        log.info("nobody reads standard output any more")
        os.kill(os.getpid(), signal.SIGTERM)


def end_with_the_reader() -> None:
    """From now on, for what is written to standard output; where that is closed from the beginning, nobody is to go."""
    if sys.stdout is not None:
        sys.stdout = Read(sys.stdout)
