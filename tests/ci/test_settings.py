"""Variables of the repository as people write them, and what is said of the rest."""

import json
import os
import subprocess
import sys

import pytest
from support import ROOT, is_one_line

from lab.base.errors import LabError
from lab.base.remote import dagshub_repository
from lab.ci import settings
from lab.report.notes import Notes

TOKEN = "secret"  # noqa: S105
COMMIT = "ab" * 20


@pytest.mark.parametrize(
    ("value", "machine"),
    [
        ("", "ubuntu-24.04"),
        ("  \n", "ubuntu-24.04"),
        ("lab", "lab"),
        (" lab\n", "lab"),
        ('"lab"', "lab"),
        ("'lab'", "lab"),
        ('"my lab"', "my lab"),
        ("ubuntu-24.04-arm", "ubuntu-24.04-arm"),
        ('["self-hosted", "gpu"]', ["self-hosted", "gpu"]),
        ("['self-hosted', 'gpu']", ["self-hosted", "gpu"]),
        ("[self-hosted, gpu]", ["self-hosted", "gpu"]),
        ("self-hosted,gpu", ["self-hosted", "gpu"]),
        (" self-hosted , gpu ", ["self-hosted", "gpu"]),
        ('["lab"]', ["lab"]),
        ('{"group": "big"}', {"group": "big"}),
        ('{"group": "big", "labels": ["gpu"]}', {"group": "big", "labels": ["gpu"]}),
    ],
)
def test_a_machine_is_named_as_people_do(value, machine):
    assert settings.machine(value) == machine
    assert settings.faults({"RUNS_ON": value}) == []


WRONG_MACHINES = ["[lab", "lab]", "{}", '{"group": ""}', '{"labels": "a"}', '{"group": 3}', "[]",
                  '""', '" "', ",", "a,,b", "a b", '"lab', '["a", 3, {}]', "x" * 300, "{" * 2_000,
                  "${{ github.token }}", "lab\n::set-output name=x::y", "null\0"]  # fmt: skip


@pytest.mark.parametrize("value", WRONG_MACHINES)
def test_another_value_is_a_line_and_github_trains(value):
    with pytest.raises(LabError) as caught:
        settings.machine(value)

    (fault,) = settings.faults({"RUNS_ON": value})
    assert fault == str(caught.value)
    assert is_one_line(fault)
    assert len(fault) < 200
    assert fault.startswith("RUNS_ON: must be a label")


@pytest.mark.parametrize(("value", "machine"), [("lab", "lab"), ("[lab", "ubuntu-24.04")])
def test_the_job_that_chooses_the_machine_needs_no_package(tmp_path, value, machine):
    """As on a machine where nothing is installed yet: `-S` hides what is, `-I` the rest."""
    output = tmp_path / "OUTPUT"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import runpy; "
    code += "runpy.run_module('lab.ci.settings', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        env={**os.environ, "RUNS_ON": value, "GITHUB_OUTPUT": str(output)},
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip

    assert output.read_text(encoding="utf-8") == f"runs-on={json.dumps(machine)}\n"
    assert ("GitHub's machine is used instead" in done.stdout) == (value == "[lab")


ADDRESSES = ["owner/name", " owner/name ", "owner/name/", "owner/name\n", '"owner/name"',
             "https://dagshub.com/owner/name", "https://dagshub.com/owner/name/",
             "https://dagshub.com/owner/name.git", "https://dagshub.com/owner/name.mlflow",
             "https://dagshub.com/owner/name.dvc/", "http://www.dagshub.com/owner/name.s3",
             "https://DagsHub.com/owner/name/src/main/data", "dagshub.com/owner/name",
             "git@dagshub.com:owner/name.git", "ssh://git@dagshub.com/owner/name.git",
             "https://user:secret@dagshub.com/owner/name"]  # fmt: skip


@pytest.mark.parametrize("value", ADDRESSES)
def test_a_repository_at_dagshub_is_named_as_people_do(value):
    assert settings.repository({"DAGSHUB_REPO": value}) == "owner/name"
    assert (
        settings.runs_of(COMMIT, {"DAGSHUB_REPO": value}) == "https://dagshub.com/owner/name.mlflow"
    )
    assert settings.faults({"DAGSHUB_REPO": value}) == []


def test_an_instance_of_ones_own_has_its_own_addresses():
    own = {"DAGSHUB_CLIENT_HOST": "https://hub.example.org:3000/"}

    assert dagshub_repository("https://hub.example.org:3000/owner/name.git", own) == "owner/name"
    assert settings.runs_of(COMMIT, {**own, "DAGSHUB_REPO": "owner/name"}) == (
        "https://hub.example.org:3000/owner/name.mlflow"
    )
    with pytest.raises(LabError, match="DAGSHUB_REPO: must be owner/name"):
        dagshub_repository("https://dagshub.com/owner/name", own)


WRONG_REPOSITORIES = ["name", "owner/", "/name", "owner/name/more", "owner/my name", "-o/name",
                      "../x", "https://github.com/owner/name", "https://dagshub.com/owner",
                      "o/n?x=y", "https://u:secret@example.org/owner/name", f"x/{'y' * 5_000} z",
                      f"https://u:{TOKEN}/{TOKEN}@dagshub.com", "o/<img src=x>"]  # fmt: skip


@pytest.mark.parametrize("value", WRONG_REPOSITORIES)
def test_another_value_is_a_line_without_the_login_and_no_link(value):
    (fault,) = settings.faults({"DAGSHUB_REPO": value})

    assert is_one_line(fault)
    assert len(fault) < 150
    assert TOKEN not in fault
    assert fault.startswith("DAGSHUB_REPO: must be owner/name; got '")
    assert settings.runs_of(COMMIT, {"DAGSHUB_REPO": value}) is None


def test_no_repository_is_no_fault():
    assert settings.repository({}) == settings.repository({"DAGSHUB_REPO": " "}) == ""
    assert settings.runs_of(COMMIT, {}) is None


@pytest.mark.parametrize("value", ["12", " 12 ", '"12"'])
def test_a_link_leads_to_the_runs_of_the_commit_where_the_experiment_is_known(value):
    variables = {"DAGSHUB_REPO": "owner/name", "MLFLOW_EXPERIMENT_ID": value}

    page = settings.runs_of(COMMIT, variables)
    assert page == (
        "https://dagshub.com/owner/name.mlflow/#/experiments/12/runs?workflowType=machine_learning"
        "&searchFilter=tags.git_commit%20%3D%20%22abababababab%22"
    )
    assert Notes(runs_url=page).runs_url == page
    assert settings.runs_of(COMMIT, {"MLFLOW_EXPERIMENT_ID": value}) is None
    assert settings.faults(variables) == []


@pytest.mark.parametrize("value", ["fair-trial", "12/runs", "-1", "1)", "٣", "1" * 31])
def test_an_experiment_that_is_no_number_is_a_line_and_the_link_leads_to_the_server(value):
    variables = {"DAGSHUB_REPO": "owner/name", "MLFLOW_EXPERIMENT_ID": value}
    (fault,) = settings.faults(variables)

    assert is_one_line(fault)
    assert fault.startswith("MLFLOW_EXPERIMENT_ID: must be the number in the experiment's address")
    assert settings.runs_of(COMMIT, variables) == "https://dagshub.com/owner/name.mlflow"


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        *((word, "yes") for word in ("yes", "true", "1", "on", "YES", " Yes ", '"yes"')),
        *((word, "no") for word in ("no", "false", "0", "off", "", " ", "No")),
        ("merge", "merge"), ("Merge", "merge"),
    ],
)  # fmt: skip
def test_offers_are_asked_for_in_several_words(value, meant):
    assert settings.offers(value) == meant
    assert settings.are_offered({"OFFER_RESULTS": value}) == (meant != "no")


def test_every_fault_is_said_at_once_and_offers_nothing():
    wrong = {"RUNS_ON": "[", "DAGSHUB_REPO": "x", "OFFER_RESULTS": "maybe"}

    names = [fault.partition(":")[0] for fault in settings.faults(wrong)]
    assert names == list(wrong)
    assert not settings.are_offered(wrong)
    assert settings.faults({}) == []
