"""The mean of the words' vectors, whatever their order, and one dense layer: a baseline."""

from torch import Tensor, nn

PADDING = 0


class Network(nn.Module):
    """A bag of words.

    Args:
        classes: how many scores.
        vocabulary: how many tokens there are.
        width: of a token's vector.
        dropout: fraction of the mean vector dropped while training.
    """

    def __init__(self, classes: int, vocabulary: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(vocabulary, width, mode="mean", padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.scores = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores [B, C] of token ids [B, L]."""
        scores: Tensor = self.scores(self.dropout(self.bag(inputs)))
        return scores
