"""The socket that a serving pod is reached by, bound before there is anything to serve."""

import socket

from modelvane_serving.failure import INVALID_SETTINGS, StartError


def bind(host: str | None, port: int) -> socket.socket:
    """Bind without listening: until `listen`, a connection is refused, as it should be while a model loads."""
    if host is None and socket.has_dualstack_ipv6():
        bound = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        address = "::"
    else:
        address = host or "0.0.0.0"  # noqa: S104 - a pod is reached by its own address
        bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address, port))
    except OSError as error:
        bound.close()
        raise StartError(INVALID_SETTINGS, f"port {port} cannot be bound: {error.strerror}") from None
    return bound
