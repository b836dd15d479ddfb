"""Whatever happens, in whatever order runs take their turn: no loss has a success.

The fixture `forge` holds that after every step of every test, for all pull requests of which every
event has been answered. Here chance says what happens.
"""

import random

import pytest
from pull_requests.forge import Forge

pytestmark = pytest.mark.slow
COMMITS = "readme", "worse", "worse_readme", "removed", "uncommitted"
BRANCHES = {7: "change", 8: "same"}
STEPS = 40


class Chance:
    """Lets something happen that may happen now."""

    def __init__(self, forge: Forge, seed: int) -> None:
        self.forge, self.random = forge, random.Random(seed)
        forge.push("stack", "worse")
        for branch in BRANCHES.values():
            forge.push(branch, "readme")

    def step(self) -> str:
        number = self.random.choice(list(BRANCHES))
        pulls = {one["number"]: one for one in self.forge.github.pulls}
        if number not in pulls:
            base = self.random.choice(["trunk", "stack"])
            return self._done(self.forge.open, number, BRANCHES[number], base)
        if self.forge.queue and self.random.random() < 0.6:
            return self._work()
        pull = pulls[number]
        if pull["state"] == "closed":
            return self._done(self.forge.reopen, number)
        return self._change(number, pull)

    def _change(self, number: int, pull: dict) -> str:
        what = self.random.choice(["push", "push", "retarget", "label", "close", "rerun", "rename"])
        if what == "push":
            sha, stack = pull["head"]["sha"], self.forge.workshop.commit("worse")
            commit = self.random.choice(COMMITS)
            into = stack if pull["base"]["ref"] == "stack" else None
            if self.forge.workshop.commit(commit) in (sha, into):
                return "nothing"
            return self._done(self.forge.push, BRANCHES[number], commit)
        if what == "retarget":
            base = {"trunk": "stack", "stack": "trunk"}[pull["base"]["ref"]]
            if base == "stack" and pull["head"]["sha"] == self.forge.workshop.commit("worse"):
                return "nothing"  # it would hold no commit
            return self._done(self.forge.retarget, number, base)
        if what == "label":
            is_set = bool(pull["labels"])
            return self._done(self.forge.unlabel if is_set else self.forge.label, number)
        if what == "rerun":
            return self._rerun()
        how = {"close": (self.forge.close,), "rename": (self.forge.rename, "Another title")}[what]
        return self._done(how[0], number, *how[1:])

    def _rerun(self) -> str:
        ended = [
            run
            for run in self.forge.runs
            if run.workflow == "cml" and run.results and run not in self.forge.queue
        ]
        if not ended:
            return "nothing"
        return self._done(self.forge.rerun, self.random.choice(ended))

    def _work(self) -> str:
        self.random.shuffle(self.forge.queue)
        run = self.forge.work()
        return f"{run.workflow} of {run.happened.name}"

    @staticmethod
    def _done(what, *arguments) -> str:
        what(*arguments)
        return f"{what.__name__} {arguments}"


@pytest.mark.parametrize("seed", range(8))
def test_no_loss_has_a_success_and_nothing_waits_for_ever(forge, seed):
    chance = Chance(forge, seed)

    for _ in range(STEPS):
        print(chance.step())
    forge.settle()

    names = {forge.workshop.commit(name): name for name in COMMITS}
    opened = [pull for pull in forge.github.pulls if pull["state"] == "open"]
    for pull in opened:
        sha = pull["head"]["sha"]
        same = [one["base"]["ref"] for one in opened if one["head"]["sha"] == sha]
        said = forge.check(pull["number"])
        print(pull["number"], names[sha], same, said, forge.summary(pull["number"]))
        if any(forge.losses(sha, base) for base in same):
            assert said in ("failure", "neutral")
            assert said == "failure" or pull["labels"] or len(same) > 1
        else:
            assert said == ("failure" if names[sha] == "uncommitted" else "success")
