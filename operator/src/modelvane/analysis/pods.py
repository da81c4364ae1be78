"""HTTP to serving pods: their metrics, their input example, a prediction. What fails is said in words that stay."""

import asyncio
import os
from dataclasses import dataclass

import aiohttp
from yarl import URL

from modelvane.engine.state import Pod

SERVING_PORT = 8080
MIB = 1024 * 1024
LONGEST_PAGE = 16 * MIB
LONGEST_PREDICTION = 2 * MIB
"""Bytes. Read as JSON it takes several times as much of the operator's memory, which the chart limits."""


class NoAnswerError(Exception):
    """There is no answer, or none that can be used. The words are for people and name no address."""


@dataclass(frozen=True)
class Answer:
    """A whole answer of whatever status."""

    status: int
    body: bytes


async def fetch(
    session: aiohttp.ClientSession,
    url: URL,
    within: float,
    body: bytes | None = None,
    *,
    verify: bool = True,
) -> Answer:
    """Ask once. Redirects are not followed: an answer comes from where it was asked for, or not at all."""
    method, headers, longest = "GET", {}, LONGEST_PAGE
    if body is not None:
        method, headers, longest = "POST", {"Content-Type": "application/json"}, LONGEST_PREDICTION
    try:
        async with (
            asyncio.timeout(within),
            session.request(method, url, data=body, headers=headers, allow_redirects=False, ssl=verify) as response,
        ):
            content = await response.content.read(longest + 1)
            while len(content) <= longest and (more := await response.content.read(longest)):
                content += more
    except TimeoutError:
        raise NoAnswerError(f"no answer within {within:g} s") from None
    except aiohttp.ClientConnectorDNSError:
        raise NoAnswerError("no connection (the name is not known)") from None
    except aiohttp.ClientConnectorError as error:
        raise NoAnswerError(f"no connection ({os.strerror(error.os_error.errno or 0)})") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NoAnswerError(f"no usable answer ({type(error).__name__})") from None
    if len(content) > longest:
        raise NoAnswerError(f"an answer of more than {longest // MIB} MiB")
    return Answer(response.status, content)


class Pods:
    """Asks pods. The session is made with the first question, because that is when an event loop runs."""

    def __init__(self, port: int = SERVING_PORT) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the one session.

        Connections are not kept, because a pod that drains waits for them, and not limited, because pods that hang
        must not hold up the others.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0))
        return self._session

    async def get(self, pod: Pod, path: str, within: float) -> Answer:
        """Ask a pod for a page."""
        return await self._ask(pod, path, within)

    async def predict(self, pod: Pod, body: bytes, within: float) -> Answer:
        """Ask a pod for a prediction."""
        return await self._ask(pod, "/invocations", within, body)

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, pod: Pod, path: str, within: float, body: bytes | None = None) -> Answer:
        # The certificate is made for the names that clients use, by whatever authority they trust; here a pod is known
        # by the address that the API server gives. So it is not verified, as the kubelet does not for its probes.
        url = URL.build(scheme="https" if pod.tls else "http", host=pod.ip or "", port=self._port, path=path)
        return await fetch(self.session, url, within, body, verify=False)
