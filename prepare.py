"""Stage `prepare`: fetches and verifies the images, splits them, writes `data/prepared`."""

import functools

from lab.base import params
from lab.base.errors import run_script
from lab.base.files import put_back
from lab.data import dataset, sources
from lab.data.dataset import DESCRIPTION, PREPARED
from lab.data.sources import RAW


def main() -> None:
    """Raw files in, three verified splits out."""
    settings = params.load().dataset
    put_back(DESCRIPTION)
    say = functools.partial(print, flush=True)  # a log shows the line while a download lasts
    idx = sources.fetch(settings.name, RAW, say)
    prepared = dataset.split(idx, settings.validation_size, settings.split_seed)
    dataset.save_prepared(prepared, PREPARED)
    description = dataset.describe(settings.name, settings.split_seed, prepared)
    dataset.write_description(description, DESCRIPTION)
    say(
        f"{settings.name}: {description.train.images:,} images to train, "
        f"{description.validation.images:,} to validate, {description.test.images:,} to test, "
        f"in {PREPARED}"
    )


if __name__ == "__main__":
    run_script(main)
