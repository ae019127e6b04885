"""Values of the activations in float64, for test/model/activations.test.ts.

    python scripts/goldens/activations.py fixtures/parity/activations.json
"""

import json
import sys
from pathlib import Path

import torch
from torch.nn.functional import gelu, relu, silu

x = torch.tensor(
    [-20, -8, -5, -3.5, -2.75, -2, -1.5, -1, -0.7517916, -0.5, -0.25, -0.1, -0.01, 0, 0.01, 0.1, 0.25, 0.5, 1, 1.5,
     2, 2.75, 3.5, 5, 8, 20], dtype=torch.float32,
).double()
values = dict(
    x=x, relu=relu(x), silu=silu(x), gelu=gelu(x), gelu_tanh=gelu(x, approximate="tanh"), relu2=relu(x) ** 2, drelu=relu(x),
)
Path(sys.argv[1]).write_text(json.dumps({name: v.tolist() for name, v in values.items()}) + "\n")
