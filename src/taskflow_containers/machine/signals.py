"""One exception for every signal that ends a run; light, as it is imported before anything else."""

from __future__ import annotations

import signal

TYPE_CHECKING = False  # typing alone would take as long as all else here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_missed: list[int] = []  # the signals that came while they were held


def hold() -> None:
    """Remember an interruption until somebody listens."""

    def remember(number: int, _frame: FrameType | None) -> None:
        _missed.append(number)

    _handle(remember)


def listen() -> None:
    """Raise KeyboardInterrupt, with its number, in the main thread for Ctrl-C, SIGTERM or a terminal that closes.

    Only for the first of them: who interrupts once more would break off the removing.
    """
    interrupted = False

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            raise KeyboardInterrupt(number)

    _handle(interrupt)
    if _missed:
        interrupted = True
        raise KeyboardInterrupt


def _handle(handler: Callable[[int, FrameType | None], None]) -> None:
    signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)
    # nohup lets a run outlive its terminal.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, handler)
