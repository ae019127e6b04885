"""Distribution functions by SciPy. Usage: python scripts/goldens/fit_distributions.py > fixtures/fit/distributions.json"""

import json
import sys

from scipy import stats

json.dump(
    {
        "studentQuantile": [[p, v, stats.t.ppf(p, v)] for p in (0.9, 0.95, 0.975, 0.995) for v in (1, 2, 3, 7, 24, 1000)],
        "studentCdf": [[t, v, stats.t.cdf(t, v)] for t in (-3, -0.5, 0, 1, 4) for v in (1, 5, 30)],
        "fisherCdf": [[f, a, b, stats.f.cdf(f, a, b)] for f in (0.1, 1, 4) for a in (1, 3) for b in (2, 20)],
        "chiSquareCdf": [[x, v, stats.chi2.cdf(x, v)] for x in (0.1, 1, 3.84, 20) for v in (1, 2, 9)],
        "normalQuantile": [[p, stats.norm.ppf(p)] for p in (0.025, 0.5, 0.9, 0.975, 0.9999)],
    },
    sys.stdout,
)
