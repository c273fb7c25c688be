"""Ports that components want, and whether they can have them."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from infra.local.errors import PortInUseError
from infra.local.layout import HOST

__all__ = ["Port", "is_free", "require_free"]

CONNECT_SECONDS = 1.0


@dataclass(frozen=True)
class Port:
    """A port, and the variable that moves it."""

    number: int
    variable: str


def is_free(number: int) -> bool:
    """Whether a component could listen on the port of the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(CONNECT_SECONDS)
        if probe.connect_ex((HOST, number)) == 0:
            return False
    with socket.socket() as probe:
        # As servers do it: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, number))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def require_free(component: str, port: Port) -> None:
    """Refuse a port that is taken.

    Raises:
        PortInUseError: naming the port, the component and the variable.
    """
    if not is_free(port.number):
        raise PortInUseError(
            f"{component} wants port {port.number} of {HOST}, but it is taken.",
            f"End what listens there, or choose another port, e.g. {port.variable}={_another(port.number)}.",
        )


def _another(number: int) -> int:
    return number + 10_000 if number < 50_000 else number - 10_000
