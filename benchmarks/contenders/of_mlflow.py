"""Saves the network as MLflow's own ONNX flavour, which it then serves: `of_mlflow.py FOLDER`."""

import os
import sys

import mlflow.onnx
import numpy as np
import onnx
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from network import MODEL

model = onnx.load(os.environ[MODEL])
sides = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim[1:]]
mlflow.onnx.save_model(
    model,
    sys.argv[1],
    signature=ModelSignature(Schema([TensorSpec(np.dtype(np.uint8), (-1, *sides), "inputs")])),
    onnx_session_options={"intra_op_num_threads": 1},
    pip_requirements=[],
)
