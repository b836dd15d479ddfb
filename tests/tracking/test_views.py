import json
import re
from pathlib import Path

import mlflow
import pytest

from lab.base.mlflow_ui import run_page
from lab.report.notes import Notes
from lab.results.comparison import Comparison
from lab.tracking import views, words
from lab.tracking.sent import SentRuns, runs_of_commit
from lab.tracking.store import Store

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's own making
BUNDLES = Path(mlflow.__file__).parent / "server/js/build/static/js"


def state() -> dict[str, object]:
    """The view as MLflow's page reads it: an envelope with the state as text."""
    envelope = json.loads(views.saved_view())
    assert isinstance(envelope["name"], str)
    assert isinstance(envelope["createdAt"], int)
    found: dict[str, object] = json.loads(envelope["state"])
    return found


def test_the_saved_view_has_the_columns_that_runs_are_tagged_with() -> None:
    columns = state()["selectedColumns"]
    assert columns[:4] == [  # type: ignore[index]
        "tags.`test accuracy`",
        "tags.`validation accuracy`",
        "tags.`cost`",
        "tags.`verdict`",
    ]
    assert len(views.saved_view()) < 5_000  # what MLflow 2.7 keeps of a tag


def test_mlflows_pages_still_read_what_the_view_is_made_of() -> None:
    """They are compiled, and no document says what they read: the words must occur in them."""
    code = "".join(path.read_text(encoding="utf-8") for path in BUNDLES.glob("*.js"))
    chart = state()["compareRunCharts"][0]  # type: ignore[index]
    for word in ("mlflow.sharedViewState.", "viewStateShareKey", "workflowType", *state(), *chart):
        assert re.search(rf"\b{re.escape(word)}", code), word


def test_a_store_has_the_view_also_if_it_is_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(f"sqlite:///{tmp_path}/mlflow.db")
    store.client.delete_experiment_tag(store.experiment, views.TAG)
    again = Store(store.uri)
    found = again.client.get_experiment(again.experiment)
    assert found.tags[views.TAG] == views.saved_view()

    again.client.set_experiment_tag(again.experiment, views.TAG, "theirs")  # a user saved it anew
    Store(store.uri)
    assert again.client.get_experiment(again.experiment).tags[views.TAG] == "theirs"


def comparison(others: list[str], unit: str = "%") -> Comparison:
    differences = [
        {
            "candidate": "wide", "baseline": other, "estimate": 0.0512,
            "interval": [0.05, 0.06], "images": [0.047, 0.0555], "p_value": 0.01, "p_holm": 0.01,
            "smallest_detectable": 0.001, "correlation": None, "is_paired": False,
            "verdict": "improved",
        }
        for other in others
    ]  # fmt: skip
    metric = {"name": "accuracy", "unit": unit, "higher_is_better": True}
    chosen = {"model": "wide", "seed": 1}
    given = {"metric": metric, "margin": 0.001, "chosen": chosen, "differences": differences}
    return Comparison.model_validate_json(json.dumps({"schema_version": 3, **given}))


def test_verdicts_begin_with_what_matters() -> None:
    two = comparison(["narrow"])
    assert words.verdict(two) == "improved: wide +5.12 pp (+4.70 to +5.55) over narrow"
    assert words.verdicts(two) == {
        "wide": "chosen: +5.12 pp over narrow, improved",
        "narrow": "not chosen: wide +5.12 pp, improved",
    }
    assert words.verdicts(comparison(["a", "b"]))["wide"] == "chosen"
    assert words.verdict(comparison([])) == "wide is the only model"
    assert "+0.0512 nats (" in words.verdict(comparison(["a"], "nats"))


@pytest.mark.parametrize("server", ["http://127.0.0.1:5000", "https://dagshub.com/o/n.mlflow"])
def test_a_report_links_to_the_runs_of_its_commit_once_they_were_sent(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert runs_of_commit("a" * 40) == ""
    SentRuns("http://other:5000").note_experiment("7")
    assert runs_of_commit("a" * 40) == ""
    SentRuns(server).note_experiment("12")
    address = runs_of_commit("a" * 40)
    assert address == (
        f"{server}/#/experiments/12/runs?workflowType=machine_learning"
        "&searchFilter=tags.git_commit%20%3D%20%22aaaaaaaaaaaa%22"
    )
    assert Notes(runs_url=address).runs_url == address
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert runs_of_commit("a" * 40) == ""


def test_links_lead_into_the_workspace_that_runs_were_sent_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = "http://127.0.0.1:5000"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-b")
    SentRuns(server).note_experiment("12")
    for page in (runs_of_commit("a" * 40), run_page(server, "12", "abc")):
        assert page.count("?") == 1
        assert page.endswith("&workspace=team-b")
    monkeypatch.delenv("MLFLOW_WORKSPACE")
    assert runs_of_commit("a" * 40) == ""


def test_a_link_to_runs_holds_nothing_that_ends_a_link() -> None:
    for wrong in (
        "http://a/#/experiments/1/runs?x=)",
        'https://a/#/experiments/1/runs?"',
        "ftp://a",
    ):
        with pytest.raises(ValueError, match="runs_url"):
            Notes(runs_url=wrong)
