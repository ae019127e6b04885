"""How long SciPy's curve_fit takes for the residual bootstrap of the authors' eleven series.

Usage: python scripts/goldens/fit_bootstrap_time.py fixtures/sparsing-law/activation_vs_tokens.csv [replicates] [lm|trf]
One process; each replicate starts from the series' optimum, as ours do. `trf` keeps our bounds, `lm` (MINPACK) knows
none: faster, and free to leave the laws' range.
"""

import csv
import sys
import time

import numpy as np
from scipy.optimize import curve_fit

relu = lambda x, a, b, c, A0: np.exp(-c * x**a + b) + A0
silu = lambda x, a, c, A0: A0 - c * x**-a

np.seterr(all="ignore")
series = {}
with open(sys.argv[1]) as file:
    for row in csv.DictReader(line for line in file if not line.startswith("#")):
        key = (row["scale"], row["activation"])
        series.setdefault(key, []).append((float(row["tokens"]) / 1e9, float(row["activation_ratio"])))
replicates = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
method = sys.argv[3] if len(sys.argv) > 3 else "trf"
rng = np.random.default_rng(0)
failed = 0
begin = time.perf_counter()
for (scale, activation), points in series.items():
    x, y = np.array(points).T
    law, start = (relu, [0.5, -3, 0.3, 0.065]) if activation == "relu" else (silu, [0.5, 0.1, 0.4])
    bounds = ([1e-3, -np.inf, 0, 0], [20, np.inf, np.inf, np.inf]) if activation == "relu" else ([1e-3, 0, 0], [20, np.inf, np.inf])
    optimum, _ = curve_fit(law, x, y, p0=start, bounds=bounds, max_nfev=40000)
    fitted = law(x, *optimum)
    residuals = y - fitted
    inner = np.clip(optimum, np.array(bounds[0]) + 1e-9, np.array(bounds[1]))
    for _ in range(replicates):
        sample = fitted + rng.choice(residuals, len(x))
        try:
            if method == "lm":
                curve_fit(law, x, sample, p0=inner, maxfev=2000)
            else:
                curve_fit(law, x, sample, p0=inner, bounds=bounds, max_nfev=2000)
        except Exception:
            failed += 1
print(f"{method}: {len(series)} series, {replicates} replicates each: {time.perf_counter() - begin:.1f} s, {failed} failed")
