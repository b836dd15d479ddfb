"""Samples that tests of verdicts and scores need."""

import numpy as np
from hypothesis import strategies as st

from lab.verdict.differences import Sample

accuracies = st.floats(0.5, 1.0, allow_nan=False)
same_length_pairs = st.integers(3, 12).flatmap(
    lambda n: st.tuples(
        st.lists(accuracies, min_size=n, max_size=n), st.lists(accuracies, min_size=n, max_size=n)
    )
)


def sample(values, first_seed=0):
    return Sample(range(first_seed, first_seed + len(values)), list(values))


def scored_examples(classes, count, absent=(), seed=0):
    """Probabilities [N, C], predictions [N] and labels [N]; no label is of an absent class."""
    chance = np.random.default_rng(seed)
    there = [label for label in range(classes) if label not in absent]
    labels = chance.choice(there, count).astype(np.uint16 if classes > 256 else np.uint8)
    logits = chance.normal(size=(count, classes))
    logits[np.arange(count), labels] += 1.5
    exponents = np.exp(logits)
    probabilities = (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities, probabilities.argmax(axis=1), labels
