"""Sessions leave the cores to others while they wait."""

from frrcam.onnx import session_options


def test_session_options_do_not_spin() -> None:
    options = session_options(3)
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
