"""Networks as ONNX graphs: stored inputs in, probabilities out, nothing of this machine within.

The same network gives the same bytes. Weights keep their names, so one graph serves all seeds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from lab.base.silence import quiet
from lab.data.description import Description
from lab.results.best import Layers
from lab.results.weights import Weights

# Those of the release that torch's exporter writes for, which onnxruntime 1.28 reads.
OPSET, IR_VERSION = 20, 10
INPUTS, PROBABILITIES = "inputs", "probabilities"
PROGRAM_PREFIX = "network."  # of a module's weights in its program: lab.training.export
ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "gelu": "Gelu"}
TYPES = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


def of_layers(layers: Layers, data: Description, tensors: Weights) -> ModelProto:
    """Dense layers between their scaling and a softmax.

    Args:
        layers: as `models/best` describes them.
        data: what goes in, and the classes.
        tensors: one seed's weights.
    """
    nodes, constants = _scaled(data)
    values = nodes[-1].output[0]

    def then(operation: str, *others: str, **attributes: Any) -> None:
        nonlocal values
        output = f"{operation.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(operation, [values, *others], [output], **attributes))
        values = output

    then("Flatten")
    activation = ACTIVATIONS.get(layers.activation)
    count = len(layers.widths) - 1
    for position in range(count):
        then("Gemm", f"{2 * position}.weight", f"{2 * position}.bias", transB=1)
        if activation and position < count - 1:
            then(activation)
    nodes.append(helper.make_node("Softmax", [values], [PROBABILITIES], axis=1))
    constants += [_constant(key, tensors[key]) for key in sorted(tensors)]
    return _model(nodes, data, constants)


def _scaled(data: Description) -> tuple[list[NodeProto], list[TensorProto]]:
    """As `lab.training.scaler` does it: (x - shift) / scale, a fill where a number is missing."""
    nodes = [helper.make_node("Cast", [INPUTS], ["numbers"], to=TensorProto.FLOAT)]
    constants: list[TensorProto] = []
    scaling = data.scaling
    if scaling is None:
        return nodes, constants
    axes = (-1, 1, 1) if len(data.shape) == 3 else (-1,)
    for key in ("shift", "scale", "fill"):
        if numbers := getattr(scaling, key):
            values = np.array(numbers, np.float32)
            constants.append(_constant(key, values.reshape(axes if len(values) > 1 else ())))
    known = "numbers"
    if scaling.fill:
        nodes += [
            helper.make_node("IsNaN", ["numbers"], ["is_missing"]),
            helper.make_node("Where", ["is_missing", "fill", "numbers"], ["filled"]),
        ]
        known = "filled"
    nodes += [
        helper.make_node("Sub", [known, "shift"], ["shifted"]),
        helper.make_node("Div", ["shifted", "scale"], ["scaled"]),
    ]
    return nodes, constants


def _model(
    nodes: Sequence[NodeProto], data: Description, constants: Sequence[TensorProto]
) -> ModelProto:
    shape: list[str | int | None] = ["N", *data.shape]
    classes = len(data.class_names)
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(INPUTS, TYPES[data.dtype], shape)],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["N", classes])],
        constants,
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="")


def of_program(path: Path) -> ModelProto:
    """A program of torch, `models/best/network.pt2`, by torch's own exporter.

    Unoptimised, because that would fold weights into each other; onnxruntime does it at loading.

    Raises:
        Exception: whatever torch raises at an operation that ONNX has not.
    """
    import torch  # 2 s, and dense layers do without

    with quiet():
        program = torch.export.load(path)
        exported = torch.onnx.export(
            program, dynamo=True, verbose=False, external_data=False, optimize=False,
            input_names=[INPUTS], output_names=[PROBABILITIES],
        )  # fmt: skip
    assert exported is not None  # noqa: S101
    model: ModelProto = exported.model_proto
    graph = model.graph
    graph.ClearField("value_info")  # of shapes before the optimiser ran, which contradict
    model.producer_version = ""
    # The rest names this machine's files and lines.
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return model


def with_weights(model: ModelProto, tensors: Weights) -> ModelProto:
    """The same network with another seed's weights."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for constant in copy.graph.initializer:
        key = constant.name.removeprefix(PROGRAM_PREFIX)
        if key in tensors:
            constant.CopyFrom(_constant(constant.name, tensors[key]))
    return copy


def _constant(name: str, values: NDArray[Any]) -> TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(values), name)


def of_bytes(model: ModelProto, folder: Path) -> ModelProto:
    """The network with weights of 8 bits, each column with a scale of its own.

    Of 7 bits, in truth: processors without VNNI add products in pairs of 16 bits, which overflow
    with 8. Convolutions stay as they are: with bytes they are slower.

    Args:
        model: the exact one.
        folder: for files in between.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = folder / "int8.onnx"
    with quiet():  # it advises what was tried here and changes nothing
        quantize_dynamic(
            _with_weights_turned(model), path, op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
        )  # fmt: skip
    small = onnx.load(path)
    small.ClearField("metadata_props")  # the quantiser's own
    return small


def _with_weights_turned(model: ModelProto) -> ModelProto:
    """Weights as products take them: torch's are turned by a node, through which nobody sees them.

    What no node needs any more goes with it.
    """
    turned = ModelProto()
    turned.CopyFrom(model)
    graph = turned.graph
    weights = {one.name: one for one in graph.initializer if len(one.dims) == 2}
    for node in [*graph.node]:
        if node.op_type == "Transpose" and node.input[0] in weights:
            values = numpy_helper.to_array(weights[node.input[0]])
            graph.initializer.append(_constant(node.output[0], values.T))
            graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for one in [*graph.initializer]:
        if one.name not in used:
            graph.initializer.remove(one)
    return turned


def mean_of(models: Sequence[ModelProto]) -> ModelProto:
    """One graph whose probabilities are the mean of those of all."""
    merged = ModelProto()
    merged.CopyFrom(models[0])
    graph = merged.graph
    outputs = []
    for part in ("node", "initializer", "value_info"):
        graph.ClearField(part)
    for number, model in enumerate(models):
        own = onnx.GraphProto()
        own.CopyFrom(model.graph)
        _rename(own, f"{number}.")
        for part in ("node", "initializer", "value_info"):
            getattr(graph, part).extend(getattr(own, part))
        outputs.append(own.output[0].name)
    graph.node.append(helper.make_node("Mean", outputs, [PROBABILITIES]))
    return merged


def _rename(graph: onnx.GraphProto, prefix: str) -> None:
    """Every name but that of the inputs, in loops within loops too, which onnx.compose forgets."""

    def new(name: str) -> str:
        return name if name in ("", INPUTS) else prefix + name

    for node in graph.node:
        node.name = new(node.name)
        node.input[:] = map(new, node.input)
        node.output[:] = map(new, node.output)
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _rename(inner, prefix)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = new(value.name)


def written(model: ModelProto, metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file that says so much of itself."""
    copy = ModelProto()
    copy.CopyFrom(model)
    helper.set_model_props(copy, dict(metadata))
    content: bytes = copy.SerializeToString(deterministic=True)
    return content
