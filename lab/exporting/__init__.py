"""The chosen model as ONNX files, held against what training stored before they are kept."""
