"""A wall clock that jumps."""

import random

from tests.faults.cases import Case, Outcome, Place, after_the_fault, in_the_end, in_turn
from tests.faults.preload import fresh_state, preloaded
from tests.scratch import COMMANDS


def clocks(random: random.Random, count: int) -> list[Case]:
    commands = ["prepare", "train", "compare", "report", "train_parallel"]
    return [
        Case("clock", command, random.choice(["-3600", "-86400", "+86400"]), random.random())
        for command in in_turn(commands, count)
    ]


def clock(place: Place, case: Case) -> Outcome:
    right = place.begin(case.command)
    jump = f"{case.moment * right.seconds:.2f} {case.fault}"
    environment = preloaded(place, fresh_state(place), FAULT_CLOCK=jump)
    ended = place.project.run(*COMMANDS[case.command].arguments, **environment)
    outcome = Outcome(case, ended.code, ended.last_line, ended.seconds)
    if ended.code != 0:
        outcome.losses.append(f"exit {ended.code}: {ended.errors[-500:]}")
    outcome.losses += after_the_fault(place, right, ended)
    outcome.losses += in_the_end(place, right, case.command)
    return outcome
