"""A cluster that the user already has, reached by a context of their kubeconfig.

It is somebody's: it is used only when its context was named on the command line, and nothing of it is ever deleted.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tests.cluster import Failure, places, tools
from tests.cluster.steps import say


def refusal(named: str | None, contexts: Sequence[str], current: str) -> str | None:
    """Say why a context must not be used, or None if the user named one that exists.

    The current context is deliberately not a default: it may well be someone's production.
    """
    known = ", ".join(sorted(contexts)) or "none"
    if named is None:
        hint = f" (it is {current!r} now)" if current else ""
        return f"the current context{hint} is only used when it is named: --context NAME; known contexts: {known}"
    if named not in contexts:
        return f"the kubeconfig has no context {named!r}; known contexts: {known}"
    return None


class ExistingCluster:
    """One context of the user's kubeconfig, copied to a file of its own so that nothing can switch it."""

    kind = "current"

    def __init__(self, name: str, context: str | None) -> None:
        self.context = context
        self.name = context or name
        self.kubeconfig = places.cache() / "current" / name / "kubeconfig"
        if why := refusal(context, self._view("contexts"), "".join(self._view("current-context"))):
            raise Failure(why)

    def build(self) -> None:
        """Build helm and kubectl; images go through a registry of the user's."""
        tools.ensure()

    def up(self) -> None:
        """Check that the cluster answers, and say what is going to be used."""
        kubectl = str(tools.ensure().kubectl)
        view = [kubectl, "config", "view", "--minify", "--flatten", f"--context={self.context}"]
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.touch(mode=0o600)
        text = subprocess.run(view, capture_output=True, text=True, check=True).stdout
        self.kubeconfig.write_text(text)
        # `--minify` keeps the name of the current context even when it shows another one.
        use = [kubectl, f"--kubeconfig={self.kubeconfig}", "config", "use-context", str(self.context)]
        subprocess.run(use, capture_output=True, check=True)
        if self.status() != "up":
            raise Failure(f"the cluster of context {self.context!r} does not answer")
        server = [kubectl, f"--kubeconfig={self.kubeconfig}", "config", "view", "--minify"]
        server.append("--output=jsonpath={.clusters[0].cluster.server}")
        address = subprocess.run(server, capture_output=True, text=True, check=True).stdout
        say(f"using the cluster of context {self.context!r} at {address}; nothing of it will be deleted by `down`")

    def down(self) -> None:
        """Forget the context; the cluster is not ours."""
        self.kubeconfig.unlink(missing_ok=True)
        say(f"context {self.context!r} is left as it is: its cluster was not started here")

    def load(self) -> None:
        """Say how images get there: it cannot be done from here."""
        raise Failure(
            f"images cannot be loaded into the cluster of context {self.context!r}: push them to a registry that it "
            "pulls from, and pass their names to the charts (image.repository, image.tag)"
        )

    def load_extras(self) -> None:
        """Say whose it is to add them: the cluster is not ours."""
        raise Failure(
            f"nothing is added to the cluster of context {self.context!r}: tests of mirrored requests use the Gateway "
            "envoy in namespace gateway-system, of any controller that supports RequestMirror with percent"
        )

    def status(self) -> str:
        """Say in a word whether the cluster answers."""
        if not self.kubeconfig.exists():
            return "not in use"
        probe = [str(tools.ensure().kubectl), f"--kubeconfig={self.kubeconfig}", "get", "--raw=/readyz"]
        return "up" if subprocess.run(probe, capture_output=True, check=False).returncode == 0 else "not answering"

    @staticmethod
    def _view(what: str) -> list[str]:
        """Return names from the user's kubeconfig."""
        output = ["-o", "name"] if what == "contexts" else []
        verb = "get-contexts" if what == "contexts" else "current-context"
        command = [str(tools.ensure().kubectl), "config", verb, *output]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
