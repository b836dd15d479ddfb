"""Graphs of ONNX, held against what torch computes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from exports import metadata, trained
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trained import BYTES, CNN, DENSE, EMBEDDING, RECURRENT, SETTINGS, define, images, prepared

from lab.base.params import ModelParams
from lab.data.examples import Scaling
from lab.exporting import graphs
from lab.results.best import Layers
from lab.results.probabilities import TOLERANCE
from lab.results.served_model import load, scaled, sequential
from lab.serving.network import Network


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


TURNED = """
from torch import nn

class Network(nn.Module):
    def __init__(self, input_shape, classes: int, vocabulary: int, width: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.hidden = nn.Linear(width, width)
        self.more = nn.Linear(width, width)
        self.scores = nn.Linear(width, classes)

    def forward(self, ids):
        values = self.more(self.hidden(self.embedding(ids)).relu())
        return self.scores(values.mean(dim=1))
"""
SHAPES = {
    "grey image": (5, 4), "colour image": (3, 4, 2), "row": (6,),
}  # fmt: skip


@st.composite
def dense(draw):
    """Kind, type, scaling, widths, activation, seed."""
    kind = draw(st.sampled_from(sorted(SHAPES)))
    dtype = draw(st.sampled_from(["uint8", "float32"]))
    features = {"grey image": 1, "colour image": 3, "row": 6}[kind]
    many = draw(st.sampled_from([1, features]))
    numbers = st.lists(st.floats(-50, 50, width=32), min_size=many, max_size=many)
    scales = st.lists(st.floats(20, 300, width=32), min_size=many, max_size=many)
    fill = draw(numbers) if kind == "row" and dtype == "float32" and draw(st.booleans()) else None
    scaling = Scaling(shift=draw(numbers), scale=draw(scales), fill=fill)
    scaling = draw(st.sampled_from([scaling, None])) if dtype == "float32" else scaling
    hidden = draw(st.lists(st.integers(1, 9), max_size=3))
    activation = draw(st.sampled_from(["linear", "relu", "tanh", "gelu"]))
    return kind, dtype, scaling, hidden, activation, draw(st.integers(0, 2**32))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(dense(), st.sampled_from([0, 1, 2, 300]))
def test_dense_layers_give_what_torch_gives(made, count):
    kind, dtype, scaling, hidden, activation, seed = made
    chance, classes = np.random.default_rng(seed), 4
    shape = SHAPES[kind]
    inputs = chance.integers(0, 256, (max(count, 4), *shape)).astype(dtype)
    if dtype == "float32":
        inputs = (inputs / 7 - 9).astype(np.float32)
        if scaling and scaling.fill:
            inputs[::2, 1] = np.nan
    data = prepared(inputs, kind, classes, scaling)
    layers = Layers(widths=[int(np.prod(shape)), *hidden, classes], activation=activation)
    network = sequential(layers.model_dump())
    for tensor in network.parameters():
        tensor.data = torch.tensor(chance.normal(0, 0.5, tensor.shape), dtype=torch.float32)
    tensors = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    graph = graphs.of_layers(layers, data.description, tensors)
    onnx.checker.check_model(graph, full_check=True)

    found = Network(graphs.written(graph, metadata(data)))(inputs[:count])

    described = data.description.model_dump()
    values = torch.from_numpy(scaled(described, inputs[:count])).flatten(1)
    wanted = torch.softmax(network(values), dim=1).detach().numpy()
    assert found.shape == (count, classes)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)


def of_network(name: str, monkeypatch: pytest.MonkeyPatch):
    """A model that is no dense layers, and its data."""
    if name == "cnn":
        return CNN, prepared(images(90, 9, 8), "grey image", scaling=BYTES)
    define(monkeypatch, name, {"bag": EMBEDDING, "recurrent": RECURRENT}[name])
    tokens = np.random.default_rng(0).integers(0, 30, (90, 4))
    model = ModelParams(network=name, width=6, **SETTINGS)
    return model, prepared(tokens, "text", vocabulary=30)


@pytest.mark.parametrize("name", ["cnn", "bag"])
def test_any_other_network_gives_what_its_program_gives_and_what_torch_says_stays_unsaid(
    name, monkeypatch, capfd
):
    model, data = of_network(name, monkeypatch)
    graph, found, reason = trained(model, data)
    assert reason is None
    capfd.readouterr()
    again, _, _ = trained(model, data)
    said = capfd.readouterr()
    assert (said.err, "torch.onnx" in said.out) == ("", False)
    onnx.checker.check_model(graph, full_check=True)

    network = Network(graphs.written(graph, metadata(data)))

    wanted = load("models/best")(data.test.inputs)
    for count in (90, 1, 2, 0):
        got = network(data.test.inputs[:count])
        np.testing.assert_allclose(got, wanted[:count], atol=1e-5)
    other = graphs.with_weights(graph, found.weights(7))
    got = Network(graphs.written(other, metadata(data)))(data.test.inputs)
    np.testing.assert_allclose(got, found.probabilities_SNC[0], atol=1e-5)
    assert graphs.written(graph, {}) == graphs.written(again, {})


def texts_of(graph: onnx.ModelProto) -> list[str]:
    """Everything in a graph that names or describes something."""
    parts = [graph, graph.graph, *graph.graph.node, *graph.graph.initializer]
    parts += [*graph.graph.input, *graph.graph.output, *graph.graph.value_info]
    found = [part.doc_string for part in parts]
    found += [each.key + each.value for part in parts for each in part.metadata_props]
    return [text for text in found if text]


@pytest.mark.parametrize("model", [DENSE, CNN])
def test_nothing_of_this_machine_is_in_a_graph(model, tmp_path):
    data = prepared(images(90, 9, 8), "grey image", scaling=BYTES)
    graph, _, _ = trained(model, data)
    small = graphs.of_bytes(graph, tmp_path)
    for one in (graph, small, graphs.mean_of([graph, graph])):
        content = graphs.written(one, metadata(data))
        assert texts_of(one) == []
        for place in (str(tmp_path), str(Path.home()), sys.prefix, str(Path(__file__).parents[2])):
            assert place.encode() not in content
        assert b".py" not in content


BAG = EMBEDDING.replace(".mean(dim=1)", "").replace(
    "nn.Embedding(vocabulary, width)", "nn.EmbeddingBag(vocabulary, width, padding_idx=0)"
)


@pytest.mark.parametrize("name", ["dense", "loop"])
def test_the_mean_of_graphs_is_the_mean_of_what_they_give(name, monkeypatch):
    """A bag of embeddings is a loop with branches in it, which use weights from outside."""
    if name == "dense":
        graph, found, _ = trained(DENSE, data := prepared(images(90, 9, 8), "grey image"))
    else:
        define(monkeypatch, "loop", BAG)
        tokens = np.random.default_rng(0).integers(0, 30, (90, 4))
        model = ModelParams(network="loop", width=6, **SETTINGS)
        graph, found, _ = trained(model, data := prepared(tokens, "text", vocabulary=30))
        assert "Loop" in {node.op_type for node in graph.graph.node}
    merged = graphs.mean_of([graphs.with_weights(graph, found.weights(seed)) for seed in (7, 9)])
    onnx.checker.check_model(merged, full_check=True)

    got = Network(graphs.written(merged, metadata(data)))(data.test.inputs)

    np.testing.assert_allclose(got, found.probabilities_SNC.mean(axis=0), atol=1e-5)


def test_without_layers_of_weights_nothing_is_quantised_and_the_graph_is_the_same(tmp_path):
    """Convolutions alone, as of a network without a dense layer."""
    identity = onnx.helper.make_node("Softmax", ["inputs"], ["probabilities"], axis=1)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [identity], "network",
        [value("inputs", onnx.TensorProto.FLOAT, ["N", 3])],
        [value("probabilities", onnx.TensorProto.FLOAT, ["N", 3])],
    )  # fmt: skip
    opset = onnx.helper.make_opsetid("", graphs.OPSET)
    made = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=graphs.IR_VERSION)

    small = graphs.of_bytes(made, tmp_path)

    assert [node.op_type for node in small.graph.node] == ["Softmax"]


def test_the_weights_of_a_program_that_are_turned_by_a_node_are_made_bytes_as_well(
    monkeypatch, tmp_path
):
    define(monkeypatch, "turned", TURNED)
    tokens = np.random.default_rng(0).integers(0, 30, (90, 4))
    data = prepared(tokens, "text", vocabulary=30)
    graph, _, _ = trained(ModelParams(network="turned", width=64, **SETTINGS), data)
    assert "Transpose" in {node.op_type for node in graph.graph.node}

    small = graphs.of_bytes(graph, tmp_path)

    assert sum(node.op_type == "MatMulInteger" for node in small.graph.node) == 3
    assert small.ByteSize() < graph.ByteSize() / 2
    found, wanted = (
        Network(graphs.written(one, metadata(data)))(data.test.inputs) for one in (small, graph)
    )
    np.testing.assert_allclose(found, wanted, atol=0.05)


def test_making_a_graph_of_dense_layers_waits_for_no_torch():
    code = "import sys, export; print({'torch', 'mlflow', 'pandas'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True,
        encoding="utf-8", check=True,
    )  # fmt: skip
    assert done.stdout == "set()\n"
