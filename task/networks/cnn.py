"""A small convolutional network with batch normalisation, for images of one channel or three."""

from torch import Tensor, nn


class Network(nn.Module):
    """Two convolutions that halve height and width each, then one dense layer.

    Args:
        input_shape: `[H, W]` of grey images, `[channels, H, W]` of others.
        classes: how many scores.
        channels: of the two convolutions.
        dropout: fraction of the dense layer's inputs dropped while training.
    """

    def __init__(
        self, input_shape: tuple[int, ...], classes: int, channels: list[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        *depth, height, width = input_shape
        first, second = channels
        self.shape = (depth[0] if depth else 1, height, width)
        self.features = nn.Sequential(
            nn.Conv2d(self.shape[0], first, 3, stride=2, padding=1),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        quarter = -(-height // 4) * -(-width // 4)
        self.scores = nn.Linear(second * quarter, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores [B, C]."""
        scores: Tensor = self.scores(self.features(inputs.reshape(-1, *self.shape)))
        return scores
