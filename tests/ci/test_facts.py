"""What git says of a pull request: real repositories, fetched as the trusted side does."""

import subprocess

import pytest
from clones import Clones

from lab.base.git import GitError
from lab.ci import facts
from lab.ci.github import Api
from lab.ci.pulls import Pull

SERVER = "https://github.com"
API = Api("owner/lab", "the-token")
PARAMS = "compare:\n  metric: accuracy\n  margin: {margin}\nmodels:\n  a: {{}}\n"


class Forge(Clones):
    """Clones, and what the trusted side makes of them."""

    def trial(self, pull: Pull) -> facts.CommitPair:
        return facts.of_pull(self.trusted, API, SERVER, pull)


@pytest.fixture
def forge(tmp_path) -> Forge:
    made = Forge(tmp_path / "clones", tmp_path / "trusted")
    made.commit("first", {"params.yaml": PARAMS.format(margin=0.001), "train.py": "1\n"})
    made.push("trunk")
    return made


def test_the_merge_base_and_what_changed_since_are_gits(forge):
    base = forge.run(forge.work, "rev-parse", "HEAD")
    forge.commit("elsewhere", {"README.md": "x\n"})
    forge.push("trunk")
    forge.go_to(base)
    head = forge.commit(
        "change", {"params.yaml": PARAMS.format(margin=0.5), "train.py": "2\n3\n", "dvc.lock": "x"}
    )

    trial = forge.trial(forge.pull(7))

    assert (trial.head.commit, trial.base.commit) == (head, base)
    assert (trial.branch, trial.behind) == ("trunk", 1)
    assert (trial.head.margin, trial.base.margin) == (0.5, 0.001)
    changes = trial.changes({"train.py": ["train@a"]})
    assert [(one.path, one.added, one.removed, one.stages) for one in changes.code] == [
        ("train.py", 2, 1, ["train@a"])
    ]
    assert [(one.key, one.baseline, one.candidate) for one in changes.params] == [
        ("compare.margin", "0.001", "0.5")
    ]
    status = forge.run(forge.trusted, "status", "--porcelain")
    assert status == ""  # nothing of it was checked out
    assert not (forge.trusted / "train.py").exists()


def test_another_base_is_another_trial(forge):
    first = forge.run(forge.work, "rev-parse", "HEAD")
    second = forge.commit("stacked", {"train.py": "2\n"})
    forge.push("stacked")
    forge.commit("change", {"train.py": "3\n"})

    assert forge.trial(forge.pull(7)).base.commit == first
    assert forge.trial(forge.pull(8, base="stacked")).base.commit == second


def test_a_branch_that_has_moved_on_or_is_gone_is_said(forge):
    forge.commit("change", {"train.py": "2\n"})
    pull = forge.pull(7)
    newer = forge.commit("more", {"train.py": "3\n"})
    forge.pull(7)
    with pytest.raises(GitError, match=f"#7 has moved on to {newer[:12]}"):
        forge.trial(pull)
    with pytest.raises(GitError, match="git fetch"):
        forge.trial(forge.pull(7, base="gone"))


def test_a_history_of_its_own_has_no_base(forge):
    forge.run(forge.work, "checkout", "-q", "--orphan", "alone")
    forge.commit("alone", {"train.py": "2\n"})

    with pytest.raises(GitError, match="trunk have no commit in common"):
        forge.trial(forge.pull(7))


@pytest.mark.parametrize("params", ["[", "models: 3\n", "compare: []\n", "\x00", "a: &a [*a]\n"])
def test_damaged_params_are_no_ones_and_stop_nothing(forge, params):
    forge.commit("damaged", {"params.yaml": params})

    head = forge.trial(forge.pull(7)).head

    assert (head.margin, head.metric, head.renamed, list(head.results.names)) == (
        None,
        None,
        {},
        [],
    )


def test_the_token_reaches_no_command_line_and_no_file(forge, monkeypatch):
    forge.commit("change", {"train.py": "2\n"})
    pull = forge.pull(7)
    seen = []
    real = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, **more: seen.append(command) or real(command, **more)
    )

    forge.trial(pull)

    assert seen
    assert "the-token" not in str(seen)
    assert "extraheader" not in (forge.trusted / ".git" / "config").read_text(encoding="utf-8")
