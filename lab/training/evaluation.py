"""What trained networks say of a split, and by how much they are wrong."""

import numpy as np
import torch
from torch import Tensor

from lab.data.splits import Split
from lab.training.networks import Network
from lab.training.outcome import Evaluation

EVALUATION_BATCH = 2_000  # examples at once; the memory it takes, not the result, depends on it


@torch.no_grad()
def evaluate(network: Network, split: Split, device: torch.device, at_once: int) -> Evaluation:
    """Every seed's network on every example of a split, in the split's order.

    In float32 whatever the training was in, so that the results are true of the stored weights.
    """
    inputs, labels = on_device(split, device)
    losses, predictions, confidences = [], [], []
    probabilities_SNC = torch.empty(0)
    for start in range(0, len(inputs), at_once):
        part = slice(start, start + at_once)
        logits_SBC = network.logits(inputs[part])
        losses.append(cross_entropy(logits_SBC, labels[part].expand(len(logits_SBC), -1)))
        # Classes before examples: torch vectorises softmax over the last axis but one, ten
        # classes are too few to fill a vector.
        probabilities_SCB = logits_SBC.transpose(1, 2).softmax(dim=1)
        confidence_SB, prediction_SB = probabilities_SCB.max(dim=1)
        if start == 0:  # in main memory, and in one piece: of many classes it is large
            seeds, classes = probabilities_SCB.shape[:2]
            probabilities_SNC = torch.empty((seeds, len(inputs), classes))
        probabilities_SNC[:, part] = probabilities_SCB.transpose(1, 2)
        predictions.append(prediction_SB.to(labels.dtype))
        confidences.append(confidence_SB)
    prediction_SN = torch.cat(predictions, dim=1)
    return Evaluation(
        accuracy_S=(prediction_SN == labels).double().mean(dim=1).cpu().numpy(),
        loss_S=torch.cat(losses, dim=1).double().mean(dim=1).cpu().numpy(),
        predictions_SN=prediction_SN.cpu().numpy().astype(split.labels.dtype),
        confidence_SN=torch.cat(confidences, dim=1).cpu().numpy(),
        probabilities_SNC=probabilities_SNC.numpy(),
    )


def on_device(split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """Inputs [N, ...] as stored and labels [N]; memory-mapped files stay so on the CPU."""
    labels = split.labels
    if labels.dtype == np.uint16:  # of which torch knows little more than the name
        labels = labels.astype(np.int32)
    return torch.from_numpy(split.inputs).to(device), torch.from_numpy(labels).to(device)


def cross_entropy(
    logits_SBC: Tensor, labels_SB: Tensor, *, weight_C: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy [S, B] in nats."""
    return torch.nn.functional.cross_entropy(
        logits_SBC.transpose(1, 2),
        labels_SB.long(),
        weight=weight_C,
        label_smoothing=smoothing,
        reduction="none",
    )
