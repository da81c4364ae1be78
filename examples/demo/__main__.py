"""Run the demo, or undo it with `--clean`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from examples.demo.evidence import telling_lines
from examples.demo.install import uninstall
from examples.demo.jobs import JobFailedError
from examples.demo.kube import CommandFailedError, Namespace
from examples.demo.loadpod import LoadPod
from examples.demo.registry import Registry
from examples.demo.screen import Screen
from examples.demo.story import Story, StoryFailedError

FAILURES = (CommandFailedError, JobFailedError, StoryFailedError, TimeoutError)


def main() -> int:
    """Return 0 if everything went as promised."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--namespace", default="modelvane-demo")
    parser.add_argument("--clean", action="store_true", help="remove everything that the demo installed")
    arguments = parser.parse_args()
    namespace, screen = Namespace(arguments.namespace), Screen()
    try:
        return clean(namespace, screen) if arguments.clean else tell(namespace, screen)
    except FAILURES as failure:
        screen.settle()
        screen.heading("The demo stopped")
        screen.say(f"  {failure}")
        if not arguments.clean:
            explain(namespace, screen)
        return 1
    except KeyboardInterrupt:
        screen.say(f"\nStopped. What was installed is still there: {_UNDO}")
        return 130


def tell(namespace: Namespace, screen: Screen) -> int:
    """Tell the whole story and end with its figures."""
    began = time.monotonic()
    screen.heading(f"Modelvane: serving follows the model registry   (namespace {namespace.name})")
    story = Story(namespace, screen)
    story.install()
    load = LoadPod(namespace, story.image)
    try:
        with namespace.port_forward("service/mlflow", 5000) as url:
            registry = Registry(url)
            story.forget_last_run(registry)
            story.serve_first_version(registry)
            story.roll_to_second_version(registry, load)
            story.refuse_third_version(registry, load)
            story.roll_to_fourth_version_by_canary(registry, load)
            story.catch_fifth_version(registry, load)
        summary = story.summary(load)
    finally:
        story.close()
        load.remove()
    screen.heading(f"Summary   ({time.monotonic() - began:.0f} s in all)")
    for line in summary.lines():
        screen.say(f"  {line}")
    if faults := summary.faults():
        screen.heading("This is not what should have happened")
        for fault in faults:
            screen.say(f"  {fault}")
        explain(namespace, screen)
        return 1
    screen.heading("Try next")
    screen.say(_TRY_NEXT.format(terminal=this_cluster(), namespace=namespace.name))
    screen.say(f"  To undo: {_UNDO}")
    return 0


def clean(namespace: Namespace, screen: Screen) -> int:
    """Remove what the demo made and say what stays."""
    with screen.step(f"Remove the demo: namespace {namespace.name}, both releases, the CRDs"):
        left = uninstall(namespace)
    for reason in left:
        screen.say(f"  Kept: {reason}")
    return 0


def explain(namespace: Namespace, screen: Screen) -> None:
    """Show what a person would look at first, and where to look further."""
    screen.heading("What the cluster says")
    for line in telling_lines(namespace):
        screen.say(f"  {line}")
    screen.heading("What to do")
    screen.say(_WHEN_IT_FAILS.format(terminal=this_cluster(), namespace=namespace.name))
    screen.say(f"  To begin anew: {_UNDO}, then make demo")


def this_cluster() -> str:
    """Return the command that lets a new terminal use the cluster and the tools that the demo used."""
    settings = [f"KUBECONFIG={os.environ['KUBECONFIG']}"] if "KUBECONFIG" in os.environ else []
    settings += [f"PATH={Path(kubectl).parent}:$PATH"] if (kubectl := shutil.which("kubectl")) else []
    return " ".join(["export", *settings])


_UNDO = "make clean-demo   (and the cluster: make down)"
_TRY_NEXT = """\
  {terminal}
  kubectl config set-context --current --namespace {namespace}
  kubectl get mvd,pods                              # what serves
  kubectl describe mvd iris                         # its story, in events
  kubectl scale mvd iris --replicas=3               # more of it
  kubectl port-forward svc/mlflow 5000:5000         # http://localhost:5000: promote versions by hand
  kubectl port-forward svc/iris 8080:80             # curl localhost:8080/model-info
"""
_WHEN_IT_FAILS = """\
  {terminal}
  kubectl config set-context --current --namespace {namespace}
  kubectl describe mvd iris                         # what the operator decided, and why
  kubectl logs deploy/modelvane                     # what the operator did
  kubectl get events --sort-by=.lastTimestamp       # what happened, in order

  docs/troubleshooting.md explains each reason and its cure.
"""

if __name__ == "__main__":
    sys.exit(main())
