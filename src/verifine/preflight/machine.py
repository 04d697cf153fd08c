"""What a model is in numbers before it is loaded."""

from __future__ import annotations

from transformers import AutoConfig

from verifine.config import LoraConfig
from verifine.errors import ModelError
from verifine.models.provision import ProvisionedModel
from verifine.models.shape import ModelShape, shape_of_config


def read_shape(provisioned: ProvisionedModel, lora: LoraConfig | None) -> ModelShape:
    """The shape of a model that is not loaded: its config is read, and no weight.

    Raises:
        ModelError: the folder holds no model that transformers knows.
    """
    try:
        config = AutoConfig.from_pretrained(provisioned.folder, local_files_only=True, trust_remote_code=False)
        return shape_of_config(config, lora)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{provisioned.folder} cannot be loaded: {error}") from error
