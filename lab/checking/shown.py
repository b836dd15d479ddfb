"""Examples as a reader sees them: pictures of images, the words of texts, the telling columns."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from lab.checking.portions import Checked
from lab.data.examples import Examples, Scaling
from lab.data.scaling import fitted
from lab.data.splits import Part
from lab.evidence.inputs import images, telling_columns
from lab.evidence.schema import MAX_EXCERPT, ImageInput, RowInput, TextInput
from lab.evidence.text import excerpt
from lab.results.checks import Place

Texts = Mapping[str, Sequence[str]]  # of portions, by name
Shown = ImageInput | TextInput | RowInput


def shown(checked: Checked, places: Sequence[Place], texts: Texts) -> list[Shown]:
    """The inputs of some examples.

    Args:
        checked: what they stand in.
        places: where.
        texts: what was kept of texts; others are shown by their token ids.
    """
    if not places:
        return []
    portions = {portion.name: portion for portion in checked.everything}
    inputs = np.array([portions[place.portion].inputs[place.row] for place in places])
    described = checked.description
    if described.kind == "row":
        return [*telling_columns(inputs, described.columns, _scaling(checked))]
    if described.kind != "text":
        return [*images(inputs, described.scaling)]
    return [
        TextInput(kind="text", text=excerpt(_words(place, ids_L, texts), MAX_EXCERPT))
        for place, ids_L in zip(places, inputs, strict=True)
    ]


def _words(place: Place, ids_L: Any, texts: Texts) -> str:
    if place.portion in texts:
        return texts[place.portion][place.row]
    return "tokens " + " ".join(map(str, ids_L.tolist()))


def _scaling(checked: Checked) -> Scaling:
    train = checked.train
    labels = train.labels_of(np.arange(len(train)))
    part = Part(Examples(train.inputs, labels), train.sample())
    return cast(Scaling, fitted("standardise", part))


def in_words(one: TextInput | RowInput) -> str:
    """A text, or the columns of a row, on one line."""
    if isinstance(one, TextInput):
        return one.text
    return "; ".join(
        f"{column.name} {'missing' if column.value is None else f'{column.value:.4g}'}"
        for column in one.columns
    )
