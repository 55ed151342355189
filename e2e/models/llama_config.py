"""The shape of a Llama model, as every script here needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes are counts of elements or tokens; names are those of a Hugging Face config.json."""

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
        """Takes the fields from a parsed config.json; refuses what the graphs here cannot express."""
        for flag, expected in [("model_type", "llama"), ("hidden_act", "silu"), ("tie_word_embeddings", True)]:
            if config[flag] != expected:
                raise ValueError(f"{flag} is {config[flag]!r}: only {expected!r} is supported")
        return LlamaConfig(**{name: config[name] for name in LlamaConfig.__dataclass_fields__})


EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"


def layer_name(layer: int, part: str) -> str:
    """The Hugging Face name of a layer's weight: layer_name(0, "mlp.up_proj")."""
    return f"model.layers.{layer}.{part}.weight"
