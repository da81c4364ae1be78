"""A Prometheus that a test runs in a namespace of its own, as manifests. Pure.

Its image is one of the cluster's extras. It finds pods by their labels, as most installations do, and asks them every
second. Inside the namespace it answers at http://prometheus:9090.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.cluster.tools import image_ref

NAME = "prometheus"
PORT = 9090
Manifest = dict[str, Any]


def pods(job: str, labels: Mapping[str, str], port: int) -> Manifest:
    """Return the scrape configuration for the pods of the namespace that have these labels.

    Every series gets the labels of its pod, with characters that Prometheus does not know made `_`.
    """
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    return {
        "job_name": job,
        "kubernetes_sd_configs": [
            {"role": "pod", "namespaces": {"own_namespace": True}, "selectors": [{"role": "pod", "label": selector}]}
        ],
        "relabel_configs": [
            # A pod without an address has nobody to ask yet; one target a pod, whatever ports it declares.
            {"source_labels": ["__meta_kubernetes_pod_ip"], "regex": "", "action": "drop"},
            {
                "source_labels": ["__meta_kubernetes_pod_ip"],
                "target_label": "__address__",
                "replacement": f"$1:{port}",
            },
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
            {"action": "labelmap", "regex": "__meta_kubernetes_pod_label_(.+)"},
        ],
    }


def build(namespace: str, jobs: Sequence[Manifest]) -> list[Manifest]:
    """Return all that a Prometheus with these scrape configurations needs in a namespace."""
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": list(jobs)}
    metadata = {"name": NAME, "namespace": namespace}
    labels = {"app": NAME}
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
            "subjects": [account],
        },
        # JSON is YAML.
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"prometheus.yml": json.dumps(config)}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _pod()},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"name": "http", "port": PORT}]},
        },
    ]


def _pod() -> Manifest:
    return {
        "serviceAccountName": NAME,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": NAME,
                "image": image_ref("prometheus"),
                "imagePullPolicy": "Never",
                "args": ["--config.file=/config/prometheus.yml", "--storage.tsdb.path=/data"],
                "ports": [{"containerPort": PORT}],
                "readinessProbe": {"httpGet": {"path": "/-/ready", "port": PORT}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "20m", "memory": "60Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "config", "mountPath": "/config"},
                    {"name": "data", "mountPath": "/data"},
                ],
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": NAME}}, {"name": "data", "emptyDir": {}}],
    }
