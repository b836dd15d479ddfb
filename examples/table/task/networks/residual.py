"""Dense layers with a way around each pair of them, a usual network for tables."""

from torch import Tensor, nn


class Block(nn.Module):
    """Normalises, widens, narrows again, and adds what came in."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, values: Tensor) -> Tensor:
        """[B, width], of the same shape."""
        changed: Tensor = values + self.change(values)
        return changed


class Network(nn.Module):
    """A dense layer, residual blocks, and a dense layer that gives the scores.

    Source: Gorishniy et al. 2021 (arXiv 2106.11959), section 3.2; with layer normalisation, which
    does not depend on the other rows of a batch, in place of batch normalisation.

    Args:
        input_shape: `[D]`, the numbers of a row.
        classes: how many scores.
        width: numbers that blocks take and give.
        blocks: how many.
        dropout: fraction of a block's hidden units dropped while training.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        classes: int,
        width: int,
        blocks: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        (columns,) = input_shape
        self.layers = nn.Sequential(
            nn.Linear(columns, width),
            *(Block(width, dropout) for _ in range(blocks)),
            nn.LayerNorm(width),
            nn.ReLU(),
            nn.Linear(width, classes),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores [B, C]."""
        scores: Tensor = self.layers(inputs)
        return scores
