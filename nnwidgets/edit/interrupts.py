"""Running to the end what must not stop half-way."""

from __future__ import annotations

from collections.abc import Callable

_TRIES = 1_000


def insist(call: Callable[[], None]) -> None:
    """Call what may be called again until it has run through, whatever interrupts it; only then let that be known."""
    interrupted: BaseException | None = None
    for _ in range(_TRIES):
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - also an interrupt must not leave a half-written model
            interrupted = error
        else:
            return
    if interrupted is not None:
        raise interrupted
