"""What training makes small: cross-entropy, if asked with class weights and label smoothing."""

import torch
from torch import Tensor

from lab.base.params import ModelParams
from lab.data.description import Description
from lab.training.evaluation import cross_entropy


class Objective:
    """Loss [S, B] in nats of scores [S, B, C].

    `label_smoothing` e: a label stands for 1 - e of its class and e of all classes alike. Source:
    Szegedy et al. 2016 (arXiv 1512.00567), section 7.

    `class_weights` balanced: an example counts N / (C * examples of its class in training). Source:
    King and Zeng 2001, "Logistic Regression in Rare Events Data".
    """

    def __init__(self, model: ModelParams, data: Description, device: torch.device) -> None:
        self._smoothing = model.label_smoothing or 0.0
        self._weight_C: Tensor | None = None
        if model.class_weights == "balanced":
            count_C = torch.tensor(data.train.examples_per_class, dtype=torch.float64)
            weight_C = data.train.examples / (len(count_C) * count_C)
            self._weight_C = weight_C.float().to(device)

    def __call__(self, logits_SBC: Tensor, labels_SB: Tensor) -> Tensor:
        """The loss of every example."""
        return cross_entropy(
            logits_SBC, labels_SB, weight_C=self._weight_C, smoothing=self._smoothing
        )
