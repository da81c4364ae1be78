"""The program at its edges: help, slips of the keyboard, no cluster, a pipe that closes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from modelvane_cli.cluster import POD, Cluster, Where
from modelvane_cli.exits import Exit, StopError

from tests.cli.conftest import Run

DOC = Path(__file__).parents[2] / "docs" / "cli.md"
COMMANDS = (
    "list",
    "status",
    "history",
    "promote",
    "rollback",
    "pause",
    "resume",
    "abort",
    "retry",
    "restart",
    "doctor",
)
HEAVY = {"kubernetes", "mlflow", "pandas", "requests", "yaml"}


def test_help_lists_every_command_and_the_exit_codes(run: Run) -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in shown.stdout
        assert "..." not in shown.stdout.split("Commands:")[1]
    assert "3 condition not met" in shown.stdout


def test_it_is_also_a_plugin_of_kubectl(run: Run) -> None:
    assert run("status", "-h", program="kubectl-modelvane").stdout.startswith("Usage: kubectl modelvane status")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['modelvane', '--help']\n"
        "from modelvane_cli.__main__ import run\n"
        "code = run()\n"
        f"print(code, *sorted({HEAVY!r} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "0"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("stauts",), Exit.USAGE, "No such command 'stauts'. Did you mean 'status'"),
        (("status",), Exit.USAGE, "Missing argument 'NAME'"),
        (("status", ""), Exit.USAGE, "Invalid value for 'NAME': got ''; expected a name of lower-case letters"),
        (("pause", ""), Exit.USAGE, "Invalid value for 'NAME': got ''"),
        (("status", "iris/status"), Exit.USAGE, "Invalid value for 'NAME': got 'iris/status'"),
        (("history", "Iris"), Exit.USAGE, "Invalid value for 'NAME': got 'Iris'"),
        (("doctor", ".."), Exit.USAGE, "Invalid value for '[NAME]': got '..'"),
        (("list", "-n", ""), Exit.USAGE, "Invalid value for '--namespace' / '-n': got ''"),
        (("-n", "a/b", "list"), Exit.USAGE, "Invalid value for '--namespace' / '-n': got 'a/b'"),
        (("promote", "iris", "--version", "1", "--registry", ""), Exit.USAGE, "Invalid value for '--registry': got ''"),
        (("list", "-o", "xml"), Exit.USAGE, "'xml' is not one of"),
        (("promote", "iris"), Exit.USAGE, "Missing option '--version'"),
        (("promote", "iris", "--version", "x"), Exit.USAGE, "Invalid value for '--version'"),
        (("promote", "iris", "--version", "1", "--to", "Prod"), Exit.USAGE, "--to: write one of Production, Staging"),
        (("promote", "iris", "--version", "1", "--if", "f1 >"), Exit.USAGE, 'Error: --if: "f1 >" ends where it should'),
        (("promote", "iris", "--version", "1"), Exit.UNREACHABLE, "No registry is named by --registry-uri"),
        (("list",), Exit.UNREACHABLE, "There is no kubeconfig at "),
        (("list", "--kubeconfig", __file__), Exit.UNREACHABLE, "cannot be "),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_a_code(
    run: Run, arguments: tuple[str, ...], code: Exit, said: str
) -> None:
    ended = run(*arguments)
    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


KUBECONFIG = (
    "apiVersion: v1\nkind: Config\n"
    "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\n"
    "users: [{name: u, user: {}}]\n"
    "contexts: [{name: c, context: {cluster: c, user: u, namespace: ml}}]\n"
)


def test_a_context_that_is_named_needs_no_current_one(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    cluster = Cluster(Where(context="c", kubeconfig=str(kubeconfig)))
    assert cluster.namespace == "ml"
    with pytest.raises(StopError, match=r"at https://127\.0\.0\.1:9 does not answer"):
        cluster.get(POD, "ml", "x")


def test_a_cluster_that_is_not_there_is_told_within_seconds(run: Run, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(f"{KUBECONFIG}current-context: c\n")
    ended = run("status", "iris", KUBECONFIG=str(kubeconfig))
    assert ended.returncode == Exit.UNREACHABLE
    assert ended.stderr == (
        "Error: the Kubernetes API server at https://127.0.0.1:9 does not answer: Connection refused. Check the "
        "kubeconfig (--kubeconfig, --context) and that the cluster runs.\n"
    )
    unknown = run("status", "iris", "--context", "other", KUBECONFIG=str(kubeconfig))
    assert unknown.returncode == Exit.UNREACHABLE
    assert "other" in unknown.stderr


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    program = Path(sys.executable).with_name("modelvane")
    shown = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {program} --help | head -c 1 >/dev/null; {program} --help | true"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shown.returncode, shown.stderr) == (0, "")


def test_every_exit_code_is_documented() -> None:
    table = DOC.read_text()
    for code in Exit:
        assert f"| {int(code)} |" in table, code


def test_letters_that_a_terminal_does_not_know_are_no_error() -> None:
    code = "from modelvane_cli import __main__ as m; m.settle(); print('→ version 4')"
    env = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    shown = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert shown.stdout == "? version 4\n"
