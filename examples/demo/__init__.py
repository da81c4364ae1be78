"""The demo of `make demo`: a model is promoted, and what serves it follows, under traffic.

`python -m examples.demo` tells the story on the cluster that KUBECONFIG names; `--clean` undoes it. The files that run
inside the cluster are examples of their own: `train.py` and `train-job.yaml` show how a model gets into the registry.
"""
