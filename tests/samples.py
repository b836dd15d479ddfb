"""Samples that tests of verdicts need."""

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
