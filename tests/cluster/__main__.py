"""Command line of the test cluster: see ``python -m tests.cluster --help``."""

from __future__ import annotations

import argparse
import shlex
import sys

from tests.cluster import Failure, choice, naming, places, tools
from tests.cluster.steps import say

COMMANDS = {
    "build": "build all that the commands below would build at their first run (minutes), and start nothing",
    "up": "start the cluster, or do nothing if it is up",
    "down": "stop it and remove every trace of it",
    "status": "say what runs",
    "load": "build the project's images, load those that the cluster lacks, and add a gateway (Traefik)",
    "extras": "add what only some tests need: a gateway that mirrors requests, Prometheus (first built in minutes)",
    "tools": "print the folder that has helm and kubectl, building it if it is not there",
    "env": "print shell exports of KUBECONFIG and PATH: eval the output",
}


def main(arguments: list[str]) -> int:
    """Run one command; what a person must read is on stderr, what a program reads on stdout."""
    given = parser().parse_args(arguments)
    try:
        run(given)
    except Failure as failure:
        say(f"error: {failure}")
        return 1
    except PermissionError as error:
        say(f"error: no permission for {error.filename}: the local node belongs to root")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    for command, meaning in COMMANDS.items():
        one = commands.add_parser(command, help=meaning, description=meaning)
        one.add_argument("--name", default=naming.default_name(places.ROOT), help="default: %(default)s")
        one.add_argument("--cluster", choices=choice.KINDS, default="auto", help="default: %(default)s")
        one.add_argument("--context", help="the kubeconfig context that --cluster current may use")
    return made


def run(given: argparse.Namespace) -> None:
    """Carry out one parsed command."""
    if given.command == "tools":
        print(tools.ensure().path)
        return
    cluster = choice.choose(
        given.cluster, naming.checked_name(given.name), given.context, to_start=given.command in {"build", "up"}
    )
    if given.command == "status":
        print(f"{cluster.name}: {cluster.status()} ({cluster.kind})")
        for other in choice.others(cluster.name):
            print(f"{other.name}: {other.status()} ({other.kind})")
    elif given.command == "env":
        if (status := cluster.status()) != "up":
            raise Failure(f"cluster {cluster.name} is {status}: make up")
        print(f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}")
        print(f'export PATH={shlex.quote(str(tools.ensure().path))}:"$PATH"')
    else:
        changes = {
            "build": cluster.build,
            "up": cluster.up,
            "down": cluster.down,
            "load": cluster.load,
            "extras": cluster.load_extras,
        }
        changes[given.command]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
