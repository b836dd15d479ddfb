"""Changes to training images as they are drawn: `models.MODEL.augmentation` names a function here.

Each takes images as stored, [B, H, W] grey or [B, 3, H, W] colour, and draws from the generator
that it is given alone, so what a seed sees in an epoch depends on nothing else.
"""

import torch
from torch import Generator, Tensor

MOST_SHIFT = 1 / 8  # of height and width; He et al. 2016 (arXiv 1512.03385): 4 of 32 pixels


def flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirrors every second image, on average, left to right."""
    is_mirrored_B = torch.rand(len(images), generator=generator) < 0.5
    columns_W = torch.arange(images.shape[-1])
    columns_BW = torch.where(is_mirrored_B[:, None], columns_W.flip(0), columns_W)
    return _taken(images, -1, columns_BW)


def shift(images: Tensor, generator: Generator) -> Tensor:
    """Moves each image by up to an eighth of height and width; the edge is repeated."""
    for axis in (-2, -1):
        length = images.shape[axis]
        most = int(length * MOST_SHIFT)
        moved_B = torch.randint(-most, most + 1, (len(images),), generator=generator)
        places_BL = (torch.arange(length) + moved_B[:, None]).clamp(0, length - 1)
        images = _taken(images, axis, places_BL)
    return images


def flip_and_shift(images: Tensor, generator: Generator) -> Tensor:
    """Both; for things that may as well be seen in a mirror, unlike letters."""
    return shift(flip(images, generator), generator)


def _taken(images: Tensor, axis: int, places_BL: Tensor) -> Tensor:
    """Of each image the rows (axis -2) or columns (-1) at its own places."""
    shape = [1] * images.dim()
    shape[0], shape[axis] = places_BL.shape
    return images.gather(axis, places_BL.to(images.device).view(shape).expand_as(images))
