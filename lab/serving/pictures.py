"""Uploaded and drawn pictures as images in stored form.

How a picture is brought into an image's frame decides accuracy more than the model does. There are
two ways. `fit` scales the whole picture into the frame. `ink` is for what is drawn or written and
was stored as MNIST is: bright on dark, cut to the ink, its longer side 20/28 of the frame, its
centre of mass in the middle. Source of `ink`: LeCun et al. 1998, section II.A.
"""

import io
import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lab.base.errors import shortened

Framing = Literal["fit", "ink"]
Grey = NDArray[np.float32]

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MOST_PIXELS = 2**24  # before anything is decoded; a telephone's photographs have 12 million
INK_SHARE = 20 / 28  # of the frame
MOST_SIDE = 1_024  # of what is looked at; larger ones are made smaller first, which is quicker
FAINT = 0.25  # of the strongest ink: what is fainter is paper


class PictureError(ValueError):
    """A picture that cannot be used; in one sentence."""


def decoded(content: bytes) -> Image.Image:
    """The picture of a file: upright, in 8 bits a channel, not larger than is of use.

    Raises:
        PictureError: it is damaged, of a format that is not read, or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large ones; they are refused here
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            if picture.width * picture.height > MOST_PIXELS:
                raise PictureError(
                    f"picture must have at most {MOST_PIXELS:,} pixels; "
                    f"got {picture.width:,} x {picture.height:,}; make it smaller"
                )
            picture.draft(None, (MOST_SIDE, MOST_SIDE))  # a JPEG can be read at a part of its size
            picture.load()
            return _smaller(_of_bytes(ImageOps.exif_transpose(picture)))
    except PictureError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # of a damaged file Pillow raises nearly anything
        reason = shortened(str(error).partition("<")[0].strip() or type(error).__name__, 60)
        raise PictureError(
            f"picture must be a whole file of {', '.join(FORMATS)}; got {reason}; save it anew"
        ) from None


def _of_bytes(picture: Image.Image) -> Image.Image:
    """Grey or colours of 8 bits, transparent where it was."""
    if picture.mode.startswith("I") or picture.mode == "F":  # 16 bits, which Pillow would cut off
        values = np.asarray(picture, np.float32) / 257
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    if picture.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in picture.info:
        return picture.convert("RGBA")
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


def _smaller(picture: Image.Image) -> Image.Image:
    factor = -(-max(picture.size) // MOST_SIDE)
    return picture.reduce(factor) if factor > 1 else picture


def framed(picture: Image.Image, shape: list[int], framing: Framing) -> NDArray[np.uint8]:
    """A picture as an image [H, W] or [3, H, W] of bytes.

    Raises:
        PictureError: `ink` finds none.
    """
    flat = _on_paper(picture)
    height, width = shape[-2:]
    if len(shape) == 3:
        fitted = ImageOps.pad(flat.convert("RGB"), (width, height), Image.Resampling.BILINEAR)
        return np.ascontiguousarray(np.asarray(fitted, np.uint8).transpose(2, 0, 1))
    grey = flat.convert("L")
    if framing == "fit":
        return np.asarray(ImageOps.pad(grey, (width, height), Image.Resampling.BILINEAR), np.uint8)
    return _ink(np.asarray(grey, np.float32), height, width)


def _on_paper(picture: Image.Image) -> Image.Image:
    """What is transparent shows white paper, or black under bright ink."""
    if picture.mode != "RGBA":
        return picture
    alpha = np.asarray(picture.getchannel("A"), np.float32)
    light = np.asarray(picture.convert("L"), np.float32)
    is_bright = alpha.sum() > 0 and (light * alpha).sum() / alpha.sum() > 128
    paper = Image.new("RGBA", picture.size, "black" if is_bright else "white")
    return Image.alpha_composite(paper, picture).convert("RGB")


def _ink(grey_HW: Grey, height: int, width: int) -> NDArray[np.uint8]:
    border = np.concatenate([grey_HW[0], grey_HW[-1], grey_HW[:, 0], grey_HW[:, -1]])
    ink_HW = np.abs(grey_HW - np.median(border))
    strongest = float(ink_HW.max())
    if strongest < 16:  # of 255: an even grey
        raise PictureError("picture must show something; got an even surface; draw on it")
    is_ink_HW = ink_HW > FAINT * strongest
    rows, columns = np.flatnonzero(is_ink_HW.any(axis=1)), np.flatnonzero(is_ink_HW.any(axis=0))
    cut_HW = ink_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / strongest * 255
    cut_HW[cut_HW < FAINT * 255 / 2] = 0
    longest = INK_SHARE * min(height, width)
    scale = longest / max(cut_HW.shape)
    size = [max(1, round(side * scale)) for side in reversed(cut_HW.shape)]
    small = Image.fromarray(cut_HW.astype(np.uint8)).resize(
        (size[0], size[1]), Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    )
    return _centred(np.asarray(small, np.uint8), height, width)


def _centred(small_HW: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """In the middle of the frame by its centre of mass, whole within it."""
    weights = small_HW.astype(np.float64)
    frame = np.zeros((height, width), np.uint8)
    starts = []
    for axis, side in enumerate((height, width)):
        along = weights.sum(axis=1 - axis)
        centre = float((along * (np.arange(len(along)) + 0.5)).sum() / along.sum())
        start = round(side / 2 - centre)
        starts.append(min(max(start, 0), side - small_HW.shape[axis]))
    top, left = starts
    frame[top : top + small_HW.shape[0], left : left + small_HW.shape[1]] = small_HW
    return frame


def shown(image: NDArray[Any]) -> bytes:
    """An image in stored form as a PNG, for a page that shows what the model sees."""
    array = image if image.ndim == 2 else image.transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
