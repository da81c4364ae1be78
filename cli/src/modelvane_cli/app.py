"""The commands and their options. Each lets another module do its work and prints what that returns.

Those modules are imported by the command that needs them, so that `--help` and a slip of the keyboard are answered
at once.
"""

import re
from enum import StrEnum
from typing import Annotated

import typer

from modelvane_cli.cluster import Cluster, Where
from modelvane_cli.exits import Exit


class Format(StrEnum):
    """How the answer is written."""

    TEXT = "text"
    JSON = "json"


_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"


def check_name(name: str | None) -> str | None:
    """Refuse what is no name of an object: it would become a part of a path, and so the name of something else."""
    if name is not None and not re.fullmatch(rf"{_LABEL}(?:\.{_LABEL})*", name):
        raise typer.BadParameter(
            f'got {name!r}; expected a name of lower-case letters, digits, "-" and ".", with a letter or a digit at '
            "both ends."
        )
    return name


Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the ModelDeployment.", callback=check_name)]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", metavar="NAME", help="Namespace; else that of the kubeconfig.", callback=check_name
    ),
]
Context = Annotated[str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.")]
Kubeconfig = Annotated[str | None, typer.Option("--kubeconfig", metavar="FILE", help="Path of the kubeconfig.")]
Output = Annotated[Format, typer.Option("--output", "-o", help="How the answer is written.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Ask, and do not wait for the operator's answer.")]
Timeout = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the answer.")]
RegistryUri = Annotated[
    str | None, typer.Option("--registry-uri", metavar="URI", help="Address of the MLflow registry.")
]

TEXT, PATIENCE = Format.TEXT, 10.0

app = typer.Typer(
    name="modelvane",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok; 1 findings, or it failed; 2 usage; 3 condition not met; 4 not found; 5 unreachable; "
    "6 not allowed; 7 no answer in time.",
)


@app.callback()
def common(
    ctx: typer.Context, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """See and steer what Modelvane serves."""
    ctx.obj = Where(namespace, context, kubeconfig)


@app.command("list")
def list_command(
    ctx: typer.Context,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="List those of all namespaces.")] = False,
    output: Output = TEXT,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List ModelDeployments and their rollouts."""
    from modelvane_cli.showing import show_list

    show_list(_connect(ctx, namespace, context, kubeconfig), everywhere=everywhere, as_json=output is Format.JSON)


@app.command()
def status(
    ctx: typer.Context,
    name: Name,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until you press Ctrl-C.")] = False,
    output: Output = TEXT,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show one ModelDeployment as a tree.

    Its revisions with their pods, how far a rollout is and what it waits for, the figures of the analysis, the
    conditions in plain words, and the last events.
    """
    from modelvane_cli.showing import show_status, watch_status

    show = watch_status if watch else show_status
    show(_connect(ctx, namespace, context, kubeconfig), name, as_json=output is Format.JSON)


@app.command()
def history(
    ctx: typer.Context,
    name: Name,
    output: Output = TEXT,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show its finished rollouts, newest first."""
    from modelvane_cli.showing import show_history

    show_history(_connect(ctx, namespace, context, kubeconfig), name, as_json=output is Format.JSON)


@app.command()
def promote(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the registered model.")],
    version: Annotated[int, typer.Option(min=1, metavar="N", help="The version to promote.")],
    to: Annotated[str | None, typer.Option(metavar="STAGE", help="The stage; Production if none is given.")] = None,
    alias: Annotated[str | None, typer.Option(metavar="ALIAS", help="An alias instead of a stage.")] = None,
    condition: Annotated[
        str | None,
        typer.Option("--if", metavar="CONDITION", help='Such as "f1 >= production.f1 and loss < 0.2".'),
    ] = None,
    registry_uri: RegistryUri = None,
    registry: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="The ModelRegistry to take the address from, if no URI is given.", callback=check_name
        ),
    ] = "default",
    output: Output = TEXT,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Point a stage or an alias to a version.

    With --if only when a condition on the metrics of its run holds. Where it does not, nothing is written and the exit
    code is 3.

    The registry's address is that of --registry-uri, else of MLFLOW_TRACKING_URI, else of the ModelRegistry in the
    cluster.
    """
    from modelvane_cli.access import open_access
    from modelvane_cli.models import Models
    from modelvane_cli.pointer import choose
    from modelvane_cli.promotion import promote as carry_out
    from modelvane_cli.promotion import read_condition
    from modelvane_cli.showing import show_lines

    pointer, parsed = choose(model, to, alias), read_condition(condition)
    with open_access(registry_uri, lambda: _connect(ctx, namespace, context, kubeconfig), registry) as access:
        promotion = carry_out(Models(access.uri, access.tracking), pointer, str(version), condition, parsed)
        document = {**promotion.document(), "registry": access.name}
    try:
        show_lines(document, promotion.lines(), as_json=output is Format.JSON)
    finally:  # A reader who has gone does not take the verdict with him.
        if not promotion.is_allowed:
            raise typer.Exit(Exit.NOT_MET)


@app.command()
def rollback(
    ctx: typer.Context,
    name: Name,
    to_version: Annotated[int | None, typer.Option(min=1, metavar="N", help="The version to go back to.")] = None,
    registry_uri: RegistryUri = None,
    output: Output = TEXT,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Point it back to the version before.

    It moves the stage or the alias in the registry, so that the registry and the cluster keep saying the same.
    """
    from modelvane_cli.rollback import roll_back
    from modelvane_cli.showing import show_lines

    cluster = _connect(ctx, namespace, context, kubeconfig)
    done = roll_back(cluster, name, str(to_version) if to_version else None, registry_uri)
    show_lines(done.document(), done.lines(), as_json=output is Format.JSON)


def _add_request(request: str, what: str) -> None:
    """Add a command that asks the operator for something."""

    @app.command(request, help=what)
    def command(
        ctx: typer.Context,
        name: Name,
        no_wait: NoWait = False,
        timeout: Timeout = PATIENCE,
        output: Output = TEXT,
        namespace: Namespace = None,
        context: Context = None,
        kubeconfig: Kubeconfig = None,
    ) -> None:
        from modelvane_cli.asking import ask
        from modelvane_cli.showing import show_lines

        answer = ask(_connect(ctx, namespace, context, kubeconfig), name, request, 0 if no_wait else timeout)
        show_lines(answer.document(), answer.lines(), as_json=output is Format.JSON)


for _request, _what in (
    ("pause", "Hold a rollout where it is."),
    ("resume", "Let a rollout that waits go on."),
    ("abort", "Call a rollout off; stable serves on."),
    ("retry", "Try a rejected version once more."),
    ("restart", "Roll the same version to new pods."),
):
    _add_request(_request, _what)


@app.command()
def doctor(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One ModelDeployment; else all.", callback=check_name)
    ] = None,
    skip_registry: Annotated[
        bool, typer.Option("--skip-registry", help="Do not try to reach the registry from here.")
    ] = False,
    output: Output = TEXT,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say what is wrong, why, and what to do.

    It looks at the CRDs, the operator, the registry and its Secrets, the pods, the Service and the gateway. The exit
    code is 1 if something is wrong.
    """
    from modelvane_cli.doctor.gather import gather
    from modelvane_cli.doctor.report import diagnose, is_healthy
    from modelvane_cli.showing import show_diagnosis

    facts = gather(_connect(ctx, namespace, context, kubeconfig), name, try_registries=not skip_registry)
    findings = diagnose(facts)
    try:
        show_diagnosis(facts, findings, as_json=output is Format.JSON)
    finally:
        if not is_healthy(findings):
            raise typer.Exit(Exit.FAILED)


def _connect(ctx: typer.Context, namespace: str | None, context: str | None, kubeconfig: str | None) -> Cluster:
    """Connect to the cluster that the options name; those after the command win over those before it."""
    before = ctx.obj if isinstance(ctx.obj, Where) else Where()
    return Cluster(before.merged(Where(namespace, context, kubeconfig)))
