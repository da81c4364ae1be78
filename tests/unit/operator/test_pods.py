"""Asking pods by HTTPS: their certificates are for the names that clients use, so they are not verified."""

import asyncio
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from modelvane.analysis.pods import Answer, NoAnswerError, Pods, fetch
from modelvane.engine.state import Pod
from yarl import URL


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Make a certificate that nobody trusts, for a name that no pod has."""
    folder: Path = tmp_path_factory.mktemp("tls")
    cert, key = folder / "tls.crt", folder / "tls.key"
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(
        ["openssl", "req", "-x509", "-days", "1", "-subj", "/CN=iris.models.svc", *made],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


async def with_server(context: ssl.SSLContext, ask: Callable[[Pods, int], Awaitable[Answer]]) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.scheme} {request.path} {await request.text()}")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    pods = Pods(port)
    try:
        return await ask(pods, port)
    finally:
        await pods.close()
        await runner.cleanup()


POD = Pod("p", ip="127.0.0.1", tls=True)


def test_a_pod_with_tls_is_asked_by_https(certificate: ssl.SSLContext) -> None:
    page = asyncio.run(with_server(certificate, lambda pods, _: pods.get(POD, "/metrics", 5)))
    assert page == Answer(200, b"https /metrics ")
    prediction = asyncio.run(with_server(certificate, lambda pods, _: pods.predict(POD, b"{}", 5)))
    assert prediction == Answer(200, b"https /invocations {}")


def test_everybody_else_is_verified(certificate: ssl.SSLContext) -> None:
    """A Prometheus, which is asked over the same session."""

    async def ask(pods: Pods, port: int) -> Answer:
        return await fetch(pods.session, URL(f"https://127.0.0.1:{port}/"), 5)

    with pytest.raises(NoAnswerError):
        asyncio.run(with_server(certificate, ask))
