"""How a training ends that is asked to; torch-free, since the command line answers it."""

import signal


class Interrupted(Exception):
    """Training was asked to stop by a signal and has saved its state."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} after step {step}")
        self.number = number


class Terminated(KeyboardInterrupt):
    """SIGTERM where no training and no search answers it; it unwinds as Ctrl-C does."""

    number = signal.SIGTERM


def terminate(number: int, frame: object) -> None:
    """SIGTERM's handler while nothing is there that would have to be saved."""
    raise Terminated(f"stopped by {signal.Signals(number).name}")


def status(stop: BaseException) -> int:
    """What the process ends with, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (stop.number if isinstance(stop, Interrupted | Terminated) else signal.SIGINT)
