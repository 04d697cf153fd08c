from __future__ import annotations

import sys
from pathlib import Path

# The scripts that run the recipes stand beside each other, not in a package.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
