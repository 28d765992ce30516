"""One other engine in a process of its own: it times itself when it is told to.

Run by the Python of the peers' environment, which has NumPy and engines but neither torch nor labkit:

    python _peer.py ENGINE MODEL.onnx INPUT.npy OUTPUT.npy

It answers in lines of JSON: first `{"version": …}`, with the output written, or `{"left_out": why}`; then, to each line that
comes in, the seconds of one call, which follows an untimed one.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[], Any]


def onnxruntime(model: str, x: np.ndarray) -> tuple[str, Call]:
    """Return the version and the call of ONNX Runtime."""
    import onnxruntime as engine

    options = engine.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = engine.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = engine.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = engine.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x}
    return engine.__version__, lambda: session.run(None, feed)[0]


def openvino(model: str, x: np.ndarray) -> tuple[str, Call]:
    """Return the version and the call of OpenVINO, in float32 as the others."""
    import openvino as engine

    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = engine.Core().compile_model(model, "CPU", settings)
    return engine.__version__, lambda: compiled([x])[0]


def deepsparse(model: str, x: np.ndarray) -> tuple[str, Call]:
    """Return the version and the call of DeepSparse."""
    import deepsparse as engine

    compiled = engine.Engine(model, batch_size=len(x), num_cores=1)
    return engine.__version__, lambda: compiled.run([x], val_inp=False)[0]


ENGINES = {"ONNX Runtime": onnxruntime, "OpenVINO": openvino, "DeepSparse": deepsparse}


def main(name: str, model: str, inputs: str, outputs: str) -> None:
    """Make the engine ready, then time it as often as asked for."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what engines print of themselves must not come between the answers
    try:
        version, call = ENGINES[name](model, np.load(inputs))
        np.save(outputs, call())
    except Exception as error:  # whatever an engine cannot do on this machine is told, and the run goes on without it
        print(json.dumps({"left_out": f"{type(error).__name__}: {error}"[:200]}), file=answers)
        return
    print(json.dumps({"version": version}), file=answers)
    for _ in sys.stdin:
        call()
        before = time.perf_counter()
        call()
        print(json.dumps(time.perf_counter() - before), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
