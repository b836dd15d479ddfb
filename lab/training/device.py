"""On what a model is trained, and in which precision."""

from collections.abc import Callable

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# What makes bfloat16 faster than float32: x86 (AVX-512 or AMX), and ARM (NEON or SVE).
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def choose_device() -> torch.device:
    """CUDA when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(asked: str, device: torch.device, say: Callable[[str], None]) -> str:
    """The precision to train in: the one asked for, or float32 where that would be slow.

    Without instructions for it, a processor takes far longer over bfloat16 than over float32.
    """
    if asked == "bfloat16" and not _has_fast_bfloat16(device):
        say(f"train.precision: this {device.type} has no instructions for bfloat16; using float32")
        return "float32"
    return asked


def _has_fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has = torch.cpu.get_capabilities()
    return any(has.get(name, False) for name in BFLOAT16_INSTRUCTIONS)
