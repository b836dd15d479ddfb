"""What /openapi.json promises is so: schemathesis makes right and wrong requests of it."""

import io

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis import GenerationMode
from services import colours, rows, serving, texts
from support import PATIENCE_SECONDS

from lab.serving import bodies

EXAMPLES = 25  # of each operation and model
OPERATIONS = [
    ("/predict", "POST"), ("/feedback", "POST"), ("/model", "GET"), ("/healthz", "GET"),
    ("/readyz", "GET"), ("/metrics", "GET"),
]  # fmt: skip


REFUSALS = ["400", "401", "403", "404", "405", "408", "413", "415", "422"]
CONFIG = schemathesis.Config.from_dict(
    {"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}}
)


def picture(kind: str, size: tuple[int, int], colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


SIDES = st.integers(1, 40)
COLOURS = st.tuples(*[st.integers(0, 255)] * 3)
# What a schema cannot say of bytes.
for name in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
    schemathesis.openapi.media_type(
        f"image/{name.lower()}", st.builds(picture, st.just(name), st.tuples(SIDES, SIDES), COLOURS)
    )
NUMBERS = st.floats(-1e6, 1e6, width=32)
LINES = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=5)
schemathesis.openapi.media_type(
    bodies.CSV,
    LINES.map(lambda found: "\n".join(",".join(map(repr, row)) for row in found).encode()),
)
SIZE = 48  # bytes of an input of `colours` and `texts`, four of `rows`
schemathesis.openapi.media_type(
    bodies.RAW, st.integers(1, 3).map(lambda count: np.zeros(count * SIZE, np.uint8).tobytes())
)
schemathesis.openapi.media_type(
    bodies.TEXT,
    st.text(min_size=1).filter(str.strip).map(lambda text: text.encode("utf-8", "ignore") or b"x"),
)


@pytest.fixture(scope="module", params=[colours, rows, texts], ids=lambda made: made.__name__)
def api(request, tmp_path_factory):
    with serving(
        tmp_path_factory.mktemp("service"), request.param(), "--record", "kept"
    ) as running:
        found = schemathesis.openapi.from_url(f"{running.url}/openapi.json", config=CONFIG)
        yield found, request.param is not rows


def is_whole_with_a_point(body: object) -> bool:
    if isinstance(body, dict):
        body = body.get("inputs")
    if isinstance(body, list):
        return any(map(is_whole_with_a_point, body))
    return isinstance(body, float) and body.is_integer()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_service_does_as_its_document_says(api, operation, mode):
    (path, method), (schema, takes_integers) = operation, api
    if mode == GenerationMode.NEGATIVE and method == "GET":
        return  # nothing could be wrong

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), database=None,
    )  # fmt: skip
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def holds(case: schemathesis.Case) -> None:
        # To a schema 5.0 is an integer, to the service it is not: pixels may have been scaled.
        if takes_integers and mode == GenerationMode.POSITIVE:
            assume(not is_whole_with_a_point(case.body))
        case.call_and_validate(timeout=PATIENCE_SECONDS)

    holds()


def test_each_form_that_is_read_is_documented_with_an_example_where_it_is_text(tmp_path):
    with serving(tmp_path, rows()) as running:
        found = running.ask("/openapi.json")[1]
        content = found["paths"]["/predict"]["post"]["requestBody"]["content"]

        assert (
            list(content)
            == running.ask("/model")[1]["content_types"]
            == [bodies.JSON, bodies.RAW, bodies.CSV]
        )
        assert running.predict(content[bodies.CSV]["example"].encode(), bodies.CSV)
        assert content[bodies.JSON]["example"] == {"inputs": [[0.0, 0.0, 0.0]]}
        assert {
            (path, method.upper()) for path, one in found["paths"].items() for method in one
        } == {*OPERATIONS}
