"""Which loopback ports the components get: the usual ones, the ones of last time, or the next free ones."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping

HOST = "127.0.0.1"
USUAL = {"postgres": 5433, "mlflow": 5000, "airflow": 8080, "replay": 8099}
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` now (SO_REUSEADDR, as servers do: TIME_WAIT is no hindrance)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def choose(names: Collection[str], remembered: Mapping[str, int], held: Collection[int] = (),
           free: Callable[[int], bool] = is_free) -> dict[str, int]:
    """A port for each of ``names`` (keys of ``USUAL``), all different.

    Ports of last time come first, so that bookmarks and open sessions stay good. ``held`` are ports that our own
    components listen on right now: they count as free for the one that remembers them.
    """
    chosen: dict[str, int] = {}
    for name in sorted(names, key=lambda item: item not in remembered):
        last = remembered.get(name)
        if last is not None and last not in chosen.values() and (last in held or free(last)):
            chosen[name] = last
            continue
        taken = {*chosen.values(), *remembered.values(), *held}
        chosen[name] = next((port for port in range(USUAL[name], USUAL[name] + _TRIES)
                             if port not in taken and free(port)), 0) or _any_free(taken)
    return chosen


def _any_free(taken: Collection[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
