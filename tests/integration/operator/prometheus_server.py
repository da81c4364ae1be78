"""A real Prometheus as a process beside the tests."""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.cluster import tools

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: pods
  static_configs:
  - targets: [{targets}]
"""


@dataclass
class Prometheus:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, query: str) -> list[dict[str, object]]:
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=5).json()
        result: list[dict[str, object]] = answer["data"]["result"]
        return result

    def wait_for(self, query: str, series: int) -> None:
        """Wait until a query has that many series."""
        for _ in range(300):
            assert self.process.poll() is None, self.log.read_text()
            try:
                if len(self.ask(query)) == series:
                    return
            except requests.RequestException:  # It is still starting.
                pass
            time.sleep(0.1)
        raise AssertionError(f"{query} never had {series} series: {self.ask(query)}")


def binary() -> Path:
    """Find Prometheus on PATH, or build the one that the cluster's tests run."""
    found = shutil.which("prometheus")
    return Path(found) if found else tools.build([tools.PROMETHEUS])[tools.PROMETHEUS] / "prometheus"


def start(folder: Path, port: int, targets: list[str]) -> Prometheus:
    """Start a server that scrapes some addresses each second."""
    config, log = folder / "prometheus.yml", folder / "log"
    config.write_text(CONFIG.format(targets=", ".join(f'"{target}"' for target in targets)))
    command = [
        str(binary()), f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    return Prometheus(f"http://127.0.0.1:{port}", process, log)
