"""A made-up set in CoLA's format, so that everything runs without a network and an account.

Sentences come from a small grammar of English; half of them are then broken in one of seven ways.
What is broken is most often an order or an agreement of words, which a bag of words cannot see.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

SOURCE = "made"  # in place of CoLA's code of a publication
SEED = 20_250_101  # of the sentences; nothing else is drawn from it

# Singular, plural, and the reflexive pronoun of the singular.
PEOPLE = [
    ("boy", "boys", "himself"), ("girl", "girls", "herself"), ("king", "kings", "himself"),
    ("queen", "queens", "herself"), ("uncle", "uncles", "himself"), ("aunt", "aunts", "herself"),
    ("waiter", "waiters", "himself"), ("actress", "actresses", "herself"),
    ("monk", "monks", "himself"), ("nun", "nuns", "herself"),
]  # fmt: skip
THINGS = [
    ("book", "books"), ("key", "keys"), ("letter", "letters"), ("window", "windows"),
    ("picture", "pictures"), ("table", "tables"), ("box", "boxes"), ("bottle", "bottles"),
]  # fmt: skip
TRANSITIVE = [
    ("greets", "greet"), ("admires", "admire"), ("describes", "describe"), ("finds", "find"),
    ("carries", "carry"), ("mentions", "mention"),
]  # fmt: skip
INTRANSITIVE = [
    ("sleeps", "sleep"), ("laughs", "laugh"), ("arrives", "arrive"), ("disappears", "disappear"),
    ("falls", "fall"),
]  # fmt: skip
DETERMINERS = [
    ("the", "the"),
    ("this", "these"),
    ("that", "those"),
    ("every", "all"),
    ("one", "two"),
]
ADJECTIVES = ["old", "small", "green", "strange", "quiet"]
PREPOSITIONS = ["near", "behind", "with", "beside"]
ADVERBS = ["today", "often", "quietly", "again"]


@dataclass
class Phrase:
    """A noun phrase: what it is made of, so that it can be broken."""

    is_plural: bool
    determiner: str
    noun: str
    adjective: str = ""
    after: list[str] = field(default_factory=list)
    reflexive: str = "itself"

    def words(self) -> list[str]:
        """As it is spoken."""
        return [each for each in (self.determiner, self.adjective, self.noun) if each] + self.after


@dataclass
class Clause:
    """Subject, verb and what follows it; the forms of the verb are singular and plural."""

    subject: Phrase
    verb: tuple[str, str]
    object: Phrase | str | None = None
    adverb: str = ""

    def words(self) -> list[str]:
        """As it is spoken."""
        rest = self.object.words() if isinstance(self.object, Phrase) else [self.object or ""]
        verb = self.verb[self.subject.is_plural]
        return [each for each in (*self.subject.words(), verb, *rest, self.adverb) if each]


def _phrase(draw: random.Random, nouns: Sequence[tuple[str, ...]], depth: int) -> Phrase:
    is_plural = draw.random() < 0.5
    noun = draw.choice(nouns)
    phrase = Phrase(is_plural, draw.choice(DETERMINERS)[is_plural], noun[is_plural])
    if len(noun) == 3:
        phrase.reflexive = "themselves" if is_plural else noun[2]
    if draw.random() < 0.3:
        phrase.adjective = draw.choice(ADJECTIVES)
    if depth and draw.random() < 0.5:
        inner = _phrase(draw, [*PEOPLE, *THINGS], depth - 1)
        phrase.after = [draw.choice(PREPOSITIONS), *inner.words()]
    return phrase


def _clause(draw: random.Random, depth: int) -> Clause:
    subject = _phrase(draw, PEOPLE, depth)
    kind = draw.random()
    if kind < 0.35:
        return Clause(subject, draw.choice(INTRANSITIVE), None, draw.choice(["", *ADVERBS]))
    if kind < 0.55:
        return Clause(subject, draw.choice(TRANSITIVE), subject.reflexive)
    return Clause(subject, draw.choice(TRANSITIVE), _phrase(draw, [*PEOPLE, *THINGS], 0))


# --- seven ways to break a clause; each changes it, or says that it cannot ------------------------


def _break_agreement(draw: random.Random, clause: Clause) -> bool:
    clause.verb = clause.verb[::-1]
    return True


def _break_determiner(draw: random.Random, clause: Clause) -> bool:
    phrase = clause.subject
    others = [pair[not phrase.is_plural] for pair in DETERMINERS if pair[0] != pair[1]]
    phrase.determiner = draw.choice(others)
    return True


def _break_order(draw: random.Random, clause: Clause) -> bool:
    phrase = clause.subject
    phrase.determiner, phrase.noun = phrase.noun, phrase.determiner
    return True


def _break_object_order(draw: random.Random, clause: Clause) -> bool:
    if not isinstance(clause.object, Phrase):
        return False
    phrase = clause.object
    phrase.determiner, phrase.noun = phrase.noun, phrase.determiner
    return True


def _break_reflexive(draw: random.Random, clause: Clause) -> bool:
    if not isinstance(clause.object, str):
        return False
    # Not "themselves" for one person, which many accept.
    others = {"himself", "herself"} - {clause.object}
    clause.object = draw.choice(sorted(others))
    return True


def _break_arguments(draw: random.Random, clause: Clause) -> bool:
    if clause.object is None:
        clause.object, clause.adverb = _phrase(draw, THINGS, 0), ""
    else:
        clause.object = None
    return True


def _drop_determiner(draw: random.Random, clause: Clause) -> bool:
    if clause.subject.is_plural:
        return False  # "Boys sleep" is acceptable
    clause.subject.determiner = ""
    return True


BREAKS: list[Callable[[random.Random, Clause], bool]] = [
    _break_agreement, _break_determiner, _break_order, _break_object_order, _break_reflexive,
    _break_arguments, _drop_determiner,
]  # fmt: skip


def _sentence(draw: random.Random, label: int, depth: int) -> str:
    clause = _clause(draw, depth)
    while not label:
        if draw.choice(BREAKS)(draw, clause):
            break
    text = " ".join(clause.words())
    return f"{text[0].upper()}{text[1:]}."


def made_up(sizes: dict[str, int]) -> dict[str, str]:
    """The contents of files in CoLA's format, by name; no sentence stands in two of them.

    Args:
        sizes: how many sentences each file has. Those of files that begin with `out_of_domain`
            are longer than any sentence of the others.
    """
    draw, seen = random.Random(SEED), set()
    found = {}
    for name, size in sizes.items():
        lines: list[str] = []
        while len(lines) < size:
            label = len(lines) % 2
            is_far = name.startswith("out_of_domain")
            text = _sentence(draw, label, depth=2 if is_far else 1)
            if text not in seen and (text.count(" ") > 9) == is_far:
                seen.add(text)
                lines.append(f"{SOURCE}\t{label}\t{'' if label else '*'}\t{text}\n")
        found[name] = "".join(lines)
    return found
