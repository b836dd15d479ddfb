"""A small convolutional network with batch normalisation, for grey and colour images."""

from torch import Tensor, nn


class Network(nn.Module):
    """Blocks of convolution, batch normalisation and ReLU, each at half the size of the one before.

    Args:
        input_shape: `[H, W]` of grey images, `[3, H, W]` of colour images.
        classes: how many scores.
        channels: of each block.
        dropout: fraction of the last block's means dropped while training.
    """

    def __init__(
        self, input_shape: tuple[int, ...], classes: int, channels: list[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        *depth, height, width = input_shape
        self.shape = (depth[0] if depth else 1, height, width)
        blocks: list[nn.Module] = []
        before = self.shape[0]
        for number, after in enumerate(channels):
            blocks += [
                nn.Conv2d(before, after, 3, padding=1, stride=2 if number else 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
            before = after
        self.features = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.scores = nn.Sequential(nn.Dropout(dropout), nn.Linear(before, classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores [B, C]."""
        scores: Tensor = self.scores(self.features(inputs.reshape(-1, *self.shape)))
        return scores
