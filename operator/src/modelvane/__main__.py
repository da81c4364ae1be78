"""Wires everything together and runs it: the only place that knows all the parts."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import kopf
from kubernetes.aio.client import ApiClient

from modelvane.analysis.analyst import Analyst
from modelvane.cluster.kube import Kube, connect
from modelvane.cluster.leader import LostLeadershipError, lead
from modelvane.cluster.observe import Observer
from modelvane.engine.state import Key
from modelvane.handlers import build_handlers, build_kopf_settings
from modelvane.http import listen, start_http
from modelvane.queue import Queue
from modelvane.reconcile import Reconciler
from modelvane.registries import RegistryReconciler
from modelvane.registry import reader
from modelvane.registry.poller import Poller
from modelvane.registry.registrar import Registrar
from modelvane.registry.webhook import Receiver, build_app, strangers
from modelvane.settings import Settings, SettingsError, read_settings

logger = logging.getLogger("modelvane")


class _JsonFormatter(logging.Formatter):
    """One JSON object a line, for whoever collects logs."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logging(level: str, log_format: str) -> None:
    """Write one line for each decision; what libraries think aloud is kept out."""
    handler = logging.StreamHandler(sys.stdout)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logger.setLevel(level.upper())
    # MLflow and kopf install handlers of their own, which would write each line twice or in another shape.
    for name in ("mlflow", "kopf"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in ("mlflow", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


async def act(
    settings: Settings, client: ApiClient, receiver: Receiver | None, take_signals: Callable[[], None]
) -> None:
    """Watch, poll and reconcile until something ends."""
    kube = Kube(client)
    queue = Queue[Key]()
    poller = Poller(kube, queue.add)
    registrar = Registrar(kube, queue.add, poller.kick, settings.webhook_url)
    registries = RegistryReconciler(kube, poller, registrar, settings.pod_name)
    analyst = Analyst(queue.add)
    reconciler = Reconciler(kube, Observer(kube, poller, analyst), poller, registries, settings)
    started = asyncio.Event()
    watching = kopf.operator(
        ready_flag=started,
        registry=build_handlers(queue.add),
        settings=build_kopf_settings(bool(settings.namespaces)),
        namespaces=settings.namespaces,
        clusterwide=not settings.namespaces,
        standalone=True,
    )
    tasks = {
        asyncio.create_task(queue.work(reconciler.run, settings.workers), name="queue"),
        asyncio.create_task(watching, name="kopf"),
    }
    if receiver is not None:
        receiver.lead(registrar)
    try:
        await asyncio.wait({*tasks, asyncio.create_task(started.wait())}, return_when=asyncio.FIRST_COMPLETED)
        # kopf has put its own handlers in place by now, and takes 5 s to end when a signal comes.
        take_signals()
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        poller.stop()
        registrar.stop()
        await analyst.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0.5)


async def run(settings: Settings) -> int:
    """Run until a signal, the loss of leadership or an error, and return the exit code."""
    client = await connect()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    receiver = Receiver() if settings.webhook_port is not None else None

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)

    async def work() -> None:
        await act(settings, client, receiver, take_signals)

    take_signals()

    if settings.leader_election:
        job = lead(client, settings.lease_name, settings.pod_namespace, settings.pod_name, work)
    else:
        job = work()
    working = asyncio.create_task(job, name="work")
    await start_http(settings.http_port, lambda: not working.done(), lambda: not stopping.is_set())
    if receiver is not None and settings.webhook_port is not None:
        await listen(build_app(receiver), settings.webhook_port, strangers)
    stop = asyncio.create_task(stopping.wait(), name="signals")
    await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        logger.info("stopping")
        working.cancel()
        await asyncio.wait({working}, timeout=3)
        return 0
    try:
        working.result()
    except LostLeadershipError as lost:
        logger.warning("%s: stopping", lost)
        return 1
    logger.info("stopped")
    return 0


async def run_and_leave(settings: Settings) -> None:
    """Run, and leave without looking back.

    A normal exit waits for every thread and task, such as one that still talks to a dead registry, and would hold up
    the hand-over to the next replica.
    """
    try:
        code = await run(settings)
    except Exception:
        logger.exception("modelvane stops")
        code = 1
    logging.shutdown()
    os._exit(code)


def main() -> None:
    """Start the operator."""
    try:
        settings = read_settings()
    except SettingsError as error:
        sys.exit(f"modelvane: {error}")
    reader.configure()
    configure_logging(settings.log_level, settings.log_format)
    logger.info("modelvane starts; serving image %s", settings.serving_image)
    asyncio.run(run_and_leave(settings))


if __name__ == "__main__":
    main()
