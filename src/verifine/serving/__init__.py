"""One model, or several, behind OpenAI's chat completions and completions."""

from verifine.serving.app import build_app
from verifine.serving.limits import ServingLimits
from verifine.serving.served_model import ServedModel

__all__ = ["ServedModel", "ServingLimits", "build_app"]
