"""Copies of the database in a bucket: `backup.py save FILE` puts one there, `backup.py fetch FILE` gets one back.

A copy is called mlflow-20261201T031500Z.dump, by the time in UTC. The newest BACKUP_KEEP of them are kept, and nothing
else at BACKUP_DESTINATION is touched.
"""

import datetime
import os
import pathlib
import re
import sys
from collections.abc import Iterable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

NAME = re.compile(r"mlflow-\d{8}T\d{6}Z\.dump")
# What every file of pg_dump's custom format begins with.
MAGIC = b"PGDMP"


class BackupError(Exception):
    """Ends the program with a sentence for the person who has to act."""


def split(destination: str) -> tuple[str, str]:
    """Return bucket and prefix of s3://bucket/prefix; the prefix is empty or ends with a slash."""
    bucket, _, prefix = destination.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/" if prefix else ""


def check_apart(destination: str, root: str) -> None:
    """Stop if the copies would lie where clients of the server can read them."""
    places = ["/".join(split(place)) for place in (destination, root)]
    if root and places[0].startswith(places[1]):
        raise BackupError(
            f"backup.destination {destination} lies below the artifact root {root}, where every client of the server "
            "can read it: choose a place beside it"
        )


def find_copies(keys: Iterable[str], prefix: str) -> list[str]:
    """List the names of the copies, newest first."""
    names = (key.removeprefix(prefix) for key in keys)
    return sorted((name for name in names if NAME.fullmatch(name)), reverse=True)


def choose(copies: list[str], wanted: str) -> str:
    """Return the wanted copy, or the newest."""
    if not copies:
        raise BackupError("there is no copy at backup.destination")
    if wanted and wanted not in copies:
        raise BackupError(f"backup.restore is {wanted}, but there are only {', '.join(copies)}")
    return wanted or copies[0]


class Bucket:
    """The place of the copies."""

    def __init__(self, destination: str) -> None:
        self.bucket, self.prefix = split(destination)
        style = os.environ.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "auto")
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL"),
            config=Config(s3={"addressing_style": style}),
        )

    def copies(self) -> list[str]:
        """List the copies, newest first."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return find_copies((item["Key"] for page in pages for item in page.get("Contents", [])), self.prefix)

    def save(self, file: pathlib.Path, keep: int) -> None:
        """Upload a copy, and delete those that are too many once it is there."""
        with file.open("rb") as opened:
            if opened.read(len(MAGIC)) != MAGIC:
                raise BackupError(f"{file} is no file of pg_dump's custom format")
        name = f"mlflow-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}.dump"
        self.client.upload_file(str(file), self.bucket, self.prefix + name)
        there = self.client.head_object(Bucket=self.bucket, Key=self.prefix + name)["ContentLength"]
        if there != file.stat().st_size:
            raise BackupError(f"{name} has {there} bytes in the bucket instead of {file.stat().st_size}")
        print(f"saved {name}, {there} bytes", flush=True)
        for old in self.copies()[keep:]:
            self.client.delete_object(Bucket=self.bucket, Key=self.prefix + old)
            print(f"deleted {old}", flush=True)

    def fetch(self, file: pathlib.Path, wanted: str) -> None:
        """Download a copy."""
        name = choose(self.copies(), wanted)
        self.client.download_file(self.bucket, self.prefix + name, str(file))
        print(f"fetched {name}, {file.stat().st_size} bytes", flush=True)


def main(command: str, file: pathlib.Path) -> None:
    """Run one command."""
    destination = os.environ["BACKUP_DESTINATION"]
    root = os.environ.get("MLFLOW_ARTIFACTS_DESTINATION") or os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT", "")
    try:
        check_apart(destination, root)
        if command == "save":
            Bucket(destination).save(file, int(os.environ["BACKUP_KEEP"]))
        else:
            Bucket(destination).fetch(file, os.environ.get("BACKUP_NAME", ""))
    except BackupError as error:
        sys.exit(str(error))
    except (ClientError, BotoCoreError, OSError) as error:
        # Neither of them holds a key; a traceback would not help.
        sys.exit(f"{destination}: {error}")


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
