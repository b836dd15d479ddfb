"""A small data set, split and prepared."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from made_data import SETTINGS, dataset, images

from lab.data import prepared, splits
from lab.data.description import DESCRIPTION, Description, describe, write_description
from lab.data.examples import Dataset
from lab.data.splits import Part


@pytest.fixture(scope="session")
def made() -> Dataset:
    """300 examples to train on, 100 to test on."""
    return dataset(images(300, 0), images(100, 2))


@pytest.fixture(scope="session")
def parts(made: Dataset) -> Mapping[str, Part]:
    """Its splits."""
    return splits.split(made, SETTINGS)


@pytest.fixture(scope="session")
def described(made: Dataset, parts: Mapping[str, Part]) -> Description:
    """What they are."""
    assert not isinstance(made.scaling, str)
    return describe(SETTINGS.name, SETTINGS.split_seed, made, parts, made.scaling)


@pytest.fixture
def project(
    tmp_path: Path, made: Dataset, parts: Mapping[str, Part], described: Description
) -> Path:
    """A folder in which `prepare.py` might have run."""
    prepared.save_prepared(parts, len(made.class_names), tmp_path / prepared.PREPARED)
    write_description(described, tmp_path / DESCRIPTION)
    return tmp_path
