"""A small share of the faults that `make test-faults` tries, through the same functions."""

import random
import sys

import pytest

from tests.faults import cases, clocks, disks, preload, processes
from tests.faults.cases import Case, Place
from tests.faults.kinds import KINDS
from tests.scratch import Bench, Project

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
    pytest.mark.xdist_group("faults"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("faults")
    bench = Bench(folder, print, is_data_alone=True)
    shim = None if preload.needs_a_compiler() else preload.compiled(folder)
    project = Project(folder / "work")
    return Place(bench, project, shim, {"prepare": bench.undisturbed(project, "prepare")})


@pytest.mark.parametrize("victim", ["everything", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("moment", [0.5, pytest.param(0.9, marks=pytest.mark.slow)])
def test_a_killed_command_leaves_whole_files_and_the_next_one_succeeds(place, victim, moment):
    assert processes.kill(place, Case("kill", "prepare", victim, moment)).losses == []


@pytest.mark.skipif(bool(preload.needs_a_compiler()), reason="needs a C compiler")
@pytest.mark.parametrize(
    "moment",
    [
        0.0,
        pytest.param(0.3, marks=pytest.mark.slow),
        0.6,
        pytest.param(0.99, marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_is_one_line_and_costs_no_file(place, moment):
    case = Case("full disk", "prepare", "stays full", moment)
    outcome = disks.full_disk(place, case)

    assert outcome.losses == []
    assert outcome.code == 2


@pytest.mark.skipif(bool(preload.needs_a_compiler()), reason="needs a C compiler")
def test_a_clock_that_jumps_back_changes_nothing(place):
    assert clocks.clock(place, Case("clock", "prepare", "-3600", 0.5)).losses == []


def test_what_is_lost_is_noticed(place):
    right = place.begin("prepare")
    disks.corrupt(place.project.folder / "data/prepared/test_labels.npy", 0.5)
    (place.project.folder / "metrics/.dataset.json.left").touch()
    ended = place.project.run("python", "-c", "raise SystemExit('Traceback')")

    assert len(list(cases.after_the_fault(place, right, ended))) == 2
    assert "metrics/.dataset.json.left: left behind" in list(
        cases.in_the_end(place, right, "prepare")
    )


def test_draws_depend_on_the_seed_alone():
    for kind in KINDS.values():
        cases = [kind.cases(random.Random(seed), kind.count) for seed in ("1", "1")]
        assert cases[0] == cases[1]
    assert len(processes.kills(random.Random(0), 210)) >= 200
