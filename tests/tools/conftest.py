from __future__ import annotations

import sys
from pathlib import Path

# The tools are scripts that stand beside each other, not a package.
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
