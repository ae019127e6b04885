"""Writes fixtures/corpus/python.safetensors with the reference library, for test/io/safetensors.test.ts.

python scripts/goldens/safetensors-file.py fixtures/corpus/python.safetensors   (torch, safetensors)
"""

import sys

import torch
from safetensors.torch import save_file

values = torch.tensor([0.0, -0.0, 1.0, -1.5, 0.1, 65504.0, 6.0e-8, float("inf")])
save_file(
    {
        "f32": values.reshape(2, 4),
        "f16": values.half(),
        "bf16": values.bfloat16().reshape(4, 2),
        "i32": torch.tensor([[-1, 2], [3, 2**31 - 1]], dtype=torch.int32),
        "i64": torch.tensor([2**53 + 1, -1]),
        "u8": torch.tensor([0, 255, 7], dtype=torch.uint8),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
    },
    sys.argv[1],
    metadata={"format": "pt", "note": "größer"},
)
