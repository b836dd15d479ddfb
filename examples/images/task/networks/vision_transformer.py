"""torchvision's Vision Transformer, from nothing or from weights that were trained before."""

from torch import Tensor, nn

from lab.base.errors import ParamsError
from task.common.pretrained import load_backbone


class Network(nn.Module):
    """A `backbone` that turns an image into `width` numbers, and one dense layer, `head`.

    Source: Dosovitskiy et al. 2021 (arXiv 2010.11929).

    Args:
        input_shape: `[H, W]` of grey images, `[3, H, W]` of colour images; square.
        classes: how many scores.
        patch: height and width of the squares that images are cut into.
        layers: of attention.
        heads: of attention in each layer.
        width: numbers that stand for a patch.
        mlp: units of the dense layer after each attention.
        dropout: fraction of units dropped while training.
        weights: the backbone's at the start: a file, or the name of one that torchvision publishes.
        sha256: the first 8 digits or more of the file's SHA-256. Names can stand for other bytes
            tomorrow, and this entry of params.yaml is all that says when to train anew.
        freeze: the backbone stays as it is, and only `head` learns.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        classes: int,
        patch: int,
        layers: int,
        heads: int,
        width: int,
        mlp: int,
        dropout: float = 0.0,
        weights: str | None = None,
        sha256: str | None = None,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        # takes seconds, and every script that reads params.yaml imports this file
        from torchvision.models import VisionTransformer

        *_, height, side = input_shape
        _require(height == side, "dataset.size", "must be a square", [height, side])
        _require(patch > 0 and side % patch == 0, "patch", f"must divide {side}", patch)
        _require(heads > 0 and width % heads == 0, "heads", f"must divide width ({width})", heads)
        _require(not freeze or weights is not None, "freeze", "must have weights", freeze)
        self.backbone = VisionTransformer(
            image_size=side,
            patch_size=patch,
            num_layers=layers,
            num_heads=heads,
            hidden_dim=width,
            mlp_dim=mlp,
            dropout=dropout,
        )
        self.backbone.heads = nn.Identity()
        if weights is not None:
            load_backbone(self.backbone, weights, sha256)
        self.backbone.requires_grad_(not freeze)
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores [B, C]."""
        if inputs.dim() == 3:  # grey
            inputs = inputs.unsqueeze(1).expand(-1, 3, -1, -1)
        scores: Tensor = self.head(self.backbone(inputs))
        return scores


def _require(holds: bool, key: str, rule: str, got: object) -> None:
    if not holds:
        raise ParamsError(
            f"params.yaml: {key} (network vision_transformer): {rule}; got {got}; correct the value"
        )
