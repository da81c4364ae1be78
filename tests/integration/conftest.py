"""Tests of things that need root on Linux and the binaries of the local node; elsewhere there is nothing to collect.

A machine that uses kind would otherwise build all of Kubernetes to test a node that it never starts.
"""

import os
import sys

from tests.cluster import tools

able = sys.platform == "linux" and os.geteuid() == 0 and tools.folder_of(tools.NODE).exists()
collect_ignore = [] if able else ["test_local_node.py"]
if sys.platform != "linux":
    # Pods are processes that share a port and differ in their loopback address, of which other systems have one.
    collect_ignore.append("operator/test_analyst.py")
