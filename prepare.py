"""Stage `prepare`: gets the examples of the task, splits them, writes `data/prepared`."""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import functools

from lab.base import params
from lab.base.files import put_back
from lab.data.checks import require_splits
from lab.data.datasets import load_dataset
from lab.data.description import DESCRIPTION, describe, write_description
from lab.data.prepared import PREPARED, save_prepared
from lab.data.scaling import fitted
from lab.data.splits import split


def main() -> None:
    """The task's examples in, three verified splits out."""
    settings = params.load().dataset
    put_back(DESCRIPTION)
    say = functools.partial(print, flush=True)  # a log shows the line while a download lasts
    dataset = load_dataset(settings, say)
    parts = split(dataset, settings)
    require_splits(settings.name, dataset, parts, say)
    scaling = fitted(dataset.scaling, parts["train"])
    save_prepared(parts, len(dataset.class_names), PREPARED)
    description = describe(settings.name, settings.split_seed, dataset, parts, scaling)
    write_description(description, DESCRIPTION)
    say(
        f"{settings.name}: {description.train.examples:,} examples to train, "
        f"{description.validation.examples:,} to validate, {description.test.examples:,} to test, "
        f"in {PREPARED}"
    )


if __name__ == "__main__":
    run_script(main)
