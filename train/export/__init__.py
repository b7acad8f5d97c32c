"""From a checkpoint to ONNX files: float32, float16 and int8."""
