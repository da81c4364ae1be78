"""What a person looks at first when something in a namespace does not work."""

from __future__ import annotations

from examples.demo.kube import CommandFailedError, Manifest, Namespace, conditions, is_true


def telling_lines(namespace: Namespace) -> list[str]:
    """Return warnings, resources that are not ready with their reasons, and the last words of failed containers."""
    lines = []
    for say in (_resources, _pods, _warnings):
        try:
            lines += say(namespace)
        except CommandFailedError as error:
            lines.append(str(error))
    return lines


def _resources(namespace: Namespace) -> list[str]:
    lines = []
    for kind in ("modeldeployments", "modelregistries"):
        for resource in namespace.get_all(kind):
            for name, condition in conditions(resource).items():
                if condition["status"] != ("False" if name in {"Stalled", "Reconciling"} else "True"):
                    lines.append(
                        f"{kind}/{resource['metadata']['name']} {name}: {condition['reason']}: {condition['message']}"
                    )
    return lines


def _pods(namespace: Namespace) -> list[str]:
    lines = []
    troubled = [
        pod
        for pod in namespace.get_all("pods")
        if not is_true(pod, "Ready") and pod["status"].get("phase") != "Succeeded"
    ]
    # Pods of one Deployment or Job fail alike; the last of them stands for all.
    for pod in {_owner(pod): pod for pod in troubled}.values():
        name = pod["metadata"]["name"]
        why = conditions(pod).get("PodScheduled", {}).get("message", "")
        lines.append(f"pod {name}: {pod['status'].get('phase')} {why}".rstrip())
        for status in _container_statuses(pod):
            if word := _trouble(status):
                lines.append(f"  container {status['name']}: {word}")
                previous = ["--previous"] if status.get("restartCount") else []
                lines += _log_tail(namespace, name, status["name"], previous)
    return lines


def _owner(pod: Manifest) -> str:
    owners = pod["metadata"].get("ownerReferences", [])
    return str((owners[0] if owners else pod["metadata"])["uid"])


def _container_statuses(pod: Manifest) -> list[Manifest]:
    return [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]


def _trouble(status: Manifest) -> str:
    for state in (status.get("lastState", {}), status.get("state", {})):
        if (ended := state.get("terminated")) and ended.get("exitCode"):
            last_words = ended.get("message", "").strip().rpartition("\n")[2]
            return f"exit code {ended['exitCode']} {ended.get('reason', '')} {last_words}".strip()
    waiting = status.get("state", {}).get("waiting", {})
    return (
        ""
        if waiting.get("reason") == "PodInitializing"
        else f"{waiting.get('reason', '')} {waiting.get('message', '')}".strip()
    )


def _log_tail(namespace: Namespace, pod: str, container: str, flags: list[str]) -> list[str]:
    try:
        said = namespace.kubectl("logs", pod, f"--container={container}", "--tail=12", *flags)
    except CommandFailedError:
        return []
    return [f"    | {line}" for line in said.splitlines()]


def _warnings(namespace: Namespace) -> list[str]:
    # A startup probe fails until the program is up: that is what it is for.
    lines = [line for line in namespace.events() if " Warning " in line and "Startup probe failed" not in line]
    return [f"event: {line}" for line in lines[-12:]]
