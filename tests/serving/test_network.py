"""An exported file as a function, and files that are none."""

import json
from pathlib import Path

import numpy as np
import pytest
from exports import metadata, trained
from onnx import ModelProto, helper
from trained import BYTES, DENSE, images, prepared

from lab.base.errors import DataError
from lab.exporting import graphs
from lab.serving.network import AT_ONCE, Network

DATA = prepared(images(90, 9, 8), "grey image", scaling=BYTES)


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelProto:
    monkeypatch.chdir(tmp_path)
    return trained(DENSE, DATA)[0]


def test_many_examples_give_what_each_of_them_gives(graph):
    network = Network(graphs.written(graph, metadata(DATA)))
    given = images(2 * AT_ONCE + 3, 9, 8)
    found = network(given)

    assert found.dtype == np.float32
    assert found.shape == (len(given), 3)
    for place in (0, AT_ONCE - 1, AT_ONCE, len(given) - 1):
        np.testing.assert_allclose(network(given[place][None])[0], found[place], atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_a_file_and_its_bytes_are_the_same_network(graph):
    content = graphs.written(graph, metadata(DATA))
    Path("model.onnx").write_bytes(content)
    by_file, by_bytes = Network(Path("model.onnx")), Network(content)

    assert by_file.sha256 == by_bytes.sha256
    assert by_file.metadata == by_bytes.metadata
    assert (
        by_file.description
        == by_bytes.description
        == {
            key: value
            for key, value in DATA.description.model_dump().items()
            if key in by_file.description
        }
    )


def described(**changes: object) -> dict[str, str]:
    said = metadata(DATA)
    return {**said, "description": json.dumps({**json.loads(said["description"]), **changes})}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "'description'"),
        ({"description": "{"}, "Expecting property name"),
        ({"description": "[]"}, "list"),
        ({**metadata(DATA), "description": "{}"}, "no class_names in its metadata"),
        ({key: text for key, text in metadata(DATA).items() if key != "model"}, "no model in its"),
        (described(shape=[3, 3]), "dimension"),
        (described(dtype="float32"), "float"),
        (described(dtype="nonsense"), "nonsense"),
        (described(class_names=["one", "two"]), "probabilities [1, 3], not [1, 2]"),
    ],
)
def test_a_file_that_cannot_answer_is_refused_in_one_line(graph, said, reason):
    with pytest.raises(DataError) as caught:
        Network(graphs.written(graph, said))

    message = str(caught.value)
    assert message.startswith("the network: must be an ONNX file that this project exported; got ")
    assert reason in message
    assert "\n" not in message


def test_a_graph_with_other_inputs_is_refused(graph):
    content = helper.make_model(graph.graph, ir_version=graphs.IR_VERSION)
    content.graph.input[0].name = "images"
    content.graph.node[0].input[0] = "images"

    with pytest.raises(DataError, match="must be an ONNX file that this project exported"):
        Network(graphs.written(content, metadata(DATA)))
