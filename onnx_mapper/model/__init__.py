"""The ONNX side: a graph under construction, what ONNX and ONNX Runtime know, files."""
