"""Examples as the data store them -> the numbers that a network sees."""

import torch
from torch import Tensor

from lab.data.examples import Scaling


class Scaler:
    """`(x - shift) / scale` in float32, by the scaling of the data; token ids stay as they are.

    Args:
        scaling: as `metrics/dataset.json` has it.
        input_shape: of one example; with three axes the first are its channels.
    """

    def __init__(self, scaling: Scaling | None, input_shape: tuple[int, ...]) -> None:
        self._features = (-1, 1, 1) if len(input_shape) == 3 else (-1,)
        self._scaling = scaling
        self._of: dict[torch.device, list[Tensor]] = {}

    @property
    def factor(self) -> float | None:
        """The one number that all are multiplied with, where that is all there is to do."""
        scaling = self._scaling
        if scaling is None:
            return 1.0
        if scaling.fill or scaling.shift != [0.0]:
            return None
        return 1 / scaling.scale[0]

    def __call__(self, inputs: Tensor) -> Tensor:
        """float32 of the same shape, whatever axes stand before those of an example."""
        if inputs.dtype == torch.int64:
            return inputs
        values = inputs.float()
        if self._scaling is None:
            return values
        shift, scale, *fill = self._numbers(self._scaling, inputs.device)
        if fill:
            values = torch.where(values.isnan(), fill[0], values)
        return (values - shift) / scale

    def _numbers(self, scaling: Scaling, device: torch.device) -> list[Tensor]:
        if device not in self._of:
            lists = [scaling.shift, scaling.scale, *([scaling.fill] if scaling.fill else [])]
            self._of[device] = [
                torch.tensor(numbers, device=device).view(
                    self._features if len(numbers) > 1 else ()
                )
                for numbers in lists
            ]
        return self._of[device]
