"""The shape of a Llama model, shared by all scripts of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes in elements or tokens. The names are those of a Hugging Face config.json."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float

    @staticmethod
    def from_hugging_face(config: Mapping[str, Any]) -> LlamaConfig:
        """Reads the fields of a parsed config.json. Raises ValueError for unsupported models."""
        for flag, expected in [("model_type", "llama"), ("hidden_act", "silu"), ("tie_word_embeddings", True)]:
            if config[flag] != expected:
                raise ValueError(f"config.json: {flag} is {config[flag]!r}. Only {expected!r} is supported.")
        return LlamaConfig(**{name: config[name] for name in LlamaConfig.__dataclass_fields__})


EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"


def layer_name(layer: int, part: str) -> str:
    """Returns a Hugging Face tensor name: (0, "mlp.up_proj") gives "model.layers.0.mlp.up_proj.weight"."""
    return f"model.layers.{layer}.{part}.weight"
