"""Options of ONNX Runtime that every network's session has."""

import onnxruntime as ort


def session_options(threads: int = 2) -> ort.SessionOptions:
    """Options for every session of frrcam, the detector's too: `threads` CPU threads that sleep while they wait.

    Spinning costs 0.7 of a core at 30 fps and gains nothing. Errors come as exceptions, so the log keeps still.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
