"""Stage `prepare`: fetches and verifies the images, splits them, writes `data/prepared`."""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import functools

from lab.base import params
from lab.base.files import put_back
from lab.data import idx, sources
from lab.data.description import DESCRIPTION, describe, write_description
from lab.data.prepared import PREPARED, save_prepared
from lab.data.sources import RAW
from lab.data.splits import split


def main() -> None:
    """Raw files in, three verified splits out."""
    settings = params.load().dataset
    put_back(DESCRIPTION)
    say = functools.partial(print, flush=True)  # a log shows the line while a download lasts
    official, test = idx.read(sources.fetch(settings.name, RAW, say))
    prepared = split(official, test, settings.validation_size, settings.split_seed)
    save_prepared(prepared, PREPARED)
    description = describe(settings.name, settings.split_seed, prepared)
    write_description(description, DESCRIPTION)
    say(
        f"{settings.name}: {description.train.images:,} images to train, "
        f"{description.validation.images:,} to validate, {description.test.images:,} to test, "
        f"in {PREPARED}"
    )


if __name__ == "__main__":
    run_script(main)
