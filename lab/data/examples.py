"""What a task's data set is: examples as arrays, their classes, and how a network sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from numpy.typing import NDArray
from pydantic import Field, model_validator

from lab.base.records import Record

Kind = Literal["grey image", "colour image", "text", "row"]
InputDtype = Literal["uint8", "float32", "int64"]
Framing = Literal["fit", "ink"]
Number = Annotated[float, Field(allow_inf_nan=False)]

FEWEST_CLASSES, MOST_CLASSES = 2, 1_000
MOST_FEATURES = 10_000  # that are scaled each by itself; git keeps their numbers


class Scaling(Record):
    """A network sees `(x - shift) / scale`, one value for all numbers, or one a feature.

    Features are the columns of a row and the channels of an image. Where there is a `fill`, it
    first takes the place of numbers that are missing (NaN).
    """

    shift: Annotated[list[Number], Field(min_length=1, max_length=MOST_FEATURES)]
    scale: Annotated[list[Number], Field(min_length=1, max_length=MOST_FEATURES)]
    fill: Annotated[list[Number], Field(max_length=MOST_FEATURES)] | None = None

    @model_validator(mode="after")
    def _agree(self) -> "Scaling":
        if len({len(self.shift), len(self.scale), len(self.fill or self.shift)}) > 1:
            raise ValueError("shift, scale and fill must have as many values each")
        if 0 in self.scale:
            raise ValueError("scale must not hold 0")
        return self


class Tokeniser(Record):
    """How texts became token ids, so that others can be asked about: `lab.data.tokens` does it.

    WordPiece as BERT has it. `pieces` are the tokens, in the order of their ids; `start` and `end`
    stand around each text, `unknown` for a word that no pieces make up, and 0 fills a row up.
    """

    form: Literal["wordpiece"]
    pieces: Annotated[list[str], Field(min_length=1)]
    is_lower_case: bool
    unknown: Annotated[int, Field(ge=0)]
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _ids_are_of_pieces(self) -> "Tokeniser":
        if max(self.unknown, self.start, self.end) >= len(self.pieces):
            raise ValueError("unknown, start and end must be ids of pieces")
        return self


@dataclass(frozen=True)
class Examples:
    """Examples as their source gives them.

    Attributes:
        inputs: `[N, ...]` uint8, float32 or int64; may be a memory map. A grey image is `[H, W]`, a
            colour image `[3, H, W]`, a text the ids of its tokens `[L]` int64, a row `[D]`.
        labels: `[N]`, whole numbers from 0 to the number of classes - 1.
        ids: name the examples, so that a test split made by their hash stays as it is when their
            bytes change. Without them an example is named by its bytes.
        groups: examples of one group (a patient, a writer) stay together in every split.
        texts: what a reader is shown of a text.
    """

    inputs: NDArray[Any]
    labels: NDArray[Any]
    ids: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    texts: Sequence[str] | None = None


@dataclass(frozen=True)
class Dataset:
    """What a function of `task.data.DATASETS` returns.

    Attributes:
        train: the official training examples, or all there are.
        test: the official test examples; without them a share is held out of `train`.
        class_names: 2 to 1,000, in the order of the labels.
        kind: how a reader is shown an example.
        scaling: how a network sees the numbers; "standardise" finds mean and standard deviation of
            every feature in the training split, and puts the mean where a number is missing.
        columns: names of a row's columns; `size: small` is one that is 1 where the column `size`
            of a table says `small`, and 0 elsewhere.
        vocabulary: how many tokens there are; ids are below it.
        framing: how somebody's picture becomes an image like these: "fit" makes all of it as large
            as they are, "ink" cuts out what is drawn or written and centres it, as MNIST's are.
        tokeniser: how somebody's text becomes ids like these; None where that is not known.
        may_repeat: an official test set is known to hold examples that training holds too. They
            are counted and said; without this they are an error.
    """

    train: Examples
    test: Examples | None
    class_names: Sequence[str]
    kind: Kind
    scaling: Scaling | Literal["standardise"] | None = None
    columns: Sequence[str] = ()
    vocabulary: int | None = None
    framing: Framing = "fit"
    tokeniser: Tokeniser | None = None
    may_repeat: bool = False
