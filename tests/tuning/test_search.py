"""Who is tried, for how long, and who wins: the search alone, with made-up trainings."""

import math

import pytest
from support import SMALL

from lab.base import params
from lab.tuning.kept import Found
from lab.tuning.search import TODAY, Budget, search
from lab.tuning.space import Proposer, Space

TUNE = """
tune:
  learning_rate: {low: 0.001, high: 1.0, log: true}
  schedule: [constant, linear]
"""
SEEDS = [11, 12, 13, 14, 15]
EPOCHS = 5


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(params.parse((SMALL + TUNE).encode(), "params.yaml"), "relu_8")


class Trainer:
    """Trains nothing: a score is the better the nearer the rate is to 0.1, and grows by epoch."""

    def __init__(self, diverges=lambda candidate: False, seconds=0.0) -> None:
        self.rungs, self.steps, self.now = [], 0, 0.0
        self.diverges, self.seconds = diverges, seconds

    def __call__(self, rung) -> int:
        self.rungs.append(rung)
        trained = 0
        for each in rung.candidates:
            for seed in rung.seeds:
                before = each.reached(seed)
                if before >= rung.until:
                    continue
                trained += rung.until - before
                score = rung.until - abs(math.log10(each.model.learning_rate) + 1)
                score += 0.001 * (seed % 3)
                score = math.nan if self.diverges(each) else score
                each.found[seed] = Found([[0.0, 0.0, 0.0]], score, rung.until)
        self.steps += trained
        self.now += trained * self.seconds
        return trained


def run(space, trainer=None, better=True, **budget):
    trainer = trainer or Trainer()
    proposer = Proposer(space, 7, maximise=better)
    spend = Budget(epochs=EPOCHS, **(budget or {"trainings": 48}))
    found = search(space, proposer, SEEDS, EPOCHS, spend, trainer, higher_is_better=better)
    return *found, trainer


def test_it_finds_the_best_and_trains_better_ones_longer_on_more_seeds(space):
    candidates, on, trainer = run(space)
    winner = candidates[0]

    assert abs(math.log10(winner.model.learning_rate) + 1) < 0.2
    assert len(on) > 1
    assert set(winner.found) == set(on)
    assert [rung.until for rung in trainer.rungs[:2]] == [2, 5]
    assert len(trainer.rungs[1].candidates) < len(trainer.rungs[0].candidates) / 2
    today = next(each for each in candidates if each.number == TODAY)
    assert set(today.found) == set(on)
    assert today.model.learning_rate == 0.01


@pytest.mark.parametrize("trainings", [12, 20, 48, 200, 1000])
def test_a_budget_in_trainings_is_kept_and_nearly_used(space, trainings):
    _, _, trainer = run(space, trainings=trainings)

    assert 0.6 * trainings * EPOCHS <= trainer.steps <= 1.1 * trainings * EPOCHS


def test_the_same_budget_gives_the_same_search(space):
    one, other = run(space), run(space)

    assert [each.values for each in one[0]] == [each.values for each in other[0]]
    assert one[1] == other[1]


@pytest.mark.parametrize("seconds", [20.0, 100.0])
def test_a_budget_in_seconds_is_kept(space, seconds):
    trainer = Trainer(seconds=0.1)
    run(space, trainer, seconds=seconds, clock=lambda: trainer.now)

    assert 0.6 * seconds <= trainer.now <= 1.05 * seconds


def test_where_lower_is_better_the_lowest_wins(space):
    candidates, on, _ = run(space, better=False)

    assert candidates[0].score(on) == min(
        each.score(on) for each in candidates if set(on) <= set(each.found)
    )


def test_one_that_diverges_loses_and_ends_nothing(space):
    candidates, _, _ = run(space, Trainer(lambda each: each.model.learning_rate > 0.05))

    assert any(each.has_diverged for each in candidates)
    assert not candidates[0].has_diverged
    assert candidates[0].model.learning_rate <= 0.05


def test_if_all_diverge_todays_params_win(space):
    candidates, _, _ = run(space, Trainer(lambda each: each.number != TODAY))

    assert candidates[0].number == TODAY


def test_if_todays_params_diverge_another_wins(space):
    candidates, _, _ = run(space, Trainer(lambda each: each.number == TODAY))

    assert candidates[0].number != TODAY
