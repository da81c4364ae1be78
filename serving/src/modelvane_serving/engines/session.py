"""Opens an ONNX graph in ONNX Runtime, on the CPU, with the threads of one worker."""

import importlib
from pathlib import Path
from typing import Any, Final

CPU: Final = "CPUExecutionProvider"


def open_session(graph: Path | bytes, threads: int) -> Any:
    """Return a session for a graph, or its file. Raises what ONNX Runtime raises."""
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that spins while it waits takes CPU from the one that answers HTTP.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(graph) if isinstance(graph, Path) else graph, options, providers=[CPU])
