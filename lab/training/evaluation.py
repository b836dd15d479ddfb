"""What trained networks say of a split, and by how much they are wrong."""

import torch
from torch import Tensor

from lab.data.splits import Split
from lab.training.networks import Network
from lab.training.outcome import Evaluation

EVALUATION_BATCH = 2_000  # images at once; the memory it takes, not the result, depends on it


@torch.no_grad()
def evaluate(network: Network, split: Split, device: torch.device) -> Evaluation:
    """Every seed's network on every image of a split, in the split's order.

    In float32 whatever the training was in, so that the results are true of the stored weights.
    """
    images, labels = on_device(split, device)
    losses, predictions, confidences = [], [], []
    for start in range(0, len(images), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        logits_SBC = network.logits(images[part])
        losses.append(cross_entropy(logits_SBC, labels[part].expand(len(logits_SBC), -1)))
        # Classes before images: torch vectorises softmax over the last axis but one, ten
        # classes are too few to fill a vector.
        confidence_SB, prediction_SB = logits_SBC.transpose(1, 2).softmax(dim=1).max(dim=1)
        predictions.append(prediction_SB.to(torch.uint8))
        confidences.append(confidence_SB)
    prediction_SN = torch.cat(predictions, dim=1)
    return Evaluation(
        accuracy_S=(prediction_SN == labels).double().mean(dim=1).cpu().numpy(),
        loss_S=torch.cat(losses, dim=1).double().mean(dim=1).cpu().numpy(),
        predictions_SN=prediction_SN.cpu().numpy(),
        confidence_SN=torch.cat(confidences, dim=1).cpu().numpy(),
    )


def on_device(split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images flat [N, D] uint8 and labels [N]; memory-mapped files stay so on the CPU."""
    images = torch.from_numpy(split.images).flatten(start_dim=1)
    return images.to(device), torch.from_numpy(split.labels).to(device)


def cross_entropy(logits_SBC: Tensor, labels_SB: Tensor) -> Tensor:
    """Cross-entropy [S, B] in nats."""
    logits_SCB = logits_SBC.transpose(1, 2)
    return torch.nn.functional.cross_entropy(logits_SCB, labels_SB.long(), reduction="none")
