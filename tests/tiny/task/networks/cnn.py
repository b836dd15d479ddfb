"""A plain module of little work, with all that makes modules different: see `Network`."""

from torch import Tensor, nn


class Network(nn.Module):
    """Two convolutions; running means are buffers, dropout draws from a global generator."""

    def __init__(
        self, input_shape: tuple[int, ...], classes: int, channels: list[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        *depth, height, width = input_shape
        first, second = channels
        self.shape = (depth[0] if depth else 1, height, width)
        self.layers = nn.Sequential(
            nn.Conv2d(self.shape[0], first, 3, stride=2, padding=1),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(4 * second, classes),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores [B, C]."""
        scores: Tensor = self.layers(inputs.reshape(-1, *self.shape))
        return scores
