"""A Llama model in PyTorch: the stories model, and SmolLM2, its teacher. Parameters have the Hugging Face names."""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

sys.path.append(str(Path(__file__).resolve().parent.parent))
from llama_config import LlamaConfig

STORIES = LlamaConfig(
    hidden_size=192,
    num_hidden_layers=6,
    num_attention_heads=6,
    num_key_value_heads=2,
    head_dim=32,
    intermediate_size=704,
    vocab_size=2048,
    max_position_embeddings=512,
    rope_theta=10_000.0,
    rms_norm_eps=1e-5,
)


class Cache:
    """The keys and values of all layers, [layers, rows, key/value heads, capacity, head size]."""

    def __init__(self, config: LlamaConfig, rows: int, capacity: int, like: torch.Tensor):
        shape = (config.num_hidden_layers, rows, config.num_key_value_heads, capacity, config.head_dim)
        self.keys, self.values = like.new_empty(shape), like.new_empty(shape)
        self.length = 0

    def select(self, rows: torch.Tensor) -> None:
        """Keeps only the rows with these indices."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]


def _linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, config: LlamaConfig):
        super().__init__()
        self.heads, self.kv_heads, self.size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
        self.q_proj = _linear(config.hidden_size, self.heads * self.size)
        self.k_proj = _linear(config.hidden_size, self.kv_heads * self.size)
        self.v_proj = _linear(config.hidden_size, self.kv_heads * self.size)
        self.o_proj = _linear(self.heads * self.size, config.hidden_size)

    def forward(self, x, cos, sin, cache: tuple[torch.Tensor, torch.Tensor] | None, start: int):
        rows, length, _ = x.shape
        q = _rotate(self.q_proj(x).view(rows, length, self.heads, self.size).transpose(1, 2), cos, sin)
        k = _rotate(self.k_proj(x).view(rows, length, self.kv_heads, self.size).transpose(1, 2), cos, sin)
        v = self.v_proj(x).view(rows, length, self.kv_heads, self.size).transpose(1, 2)
        if cache is not None:
            for stored, new in zip(cache, (k, v)):
                stored[:, :, start : start + length] = new
        if length == 1 and cache is not None:
            k, v = (stored[:, :, : start + 1] for stored in cache)
            y = self._attend_one(q, k, v)
        else:
            k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(rows, length, -1))

    def _attend_one(self, q, k, v):
        """Attention of one position. The heads that share keys are the rows of one product."""
        grouped = q.view(q.shape[0], self.kv_heads, -1, self.size)
        scores = grouped @ k.transpose(-1, -2) * self.size**-0.5
        return (scores.softmax(-1, dtype=torch.float32).to(v.dtype) @ v).view(q.shape)


class FeedForward(nn.Module):
    def __init__(self, config: LlamaConfig):
        super().__init__()
        self.gate_proj = _linear(config.hidden_size, config.intermediate_size)
        self.up_proj = _linear(config.hidden_size, config.intermediate_size)
        self.down_proj = _linear(config.intermediate_size, config.hidden_size)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config: LlamaConfig):
        super().__init__()
        self.self_attn, self.mlp = Attention(config), FeedForward(config)
        self.input_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x, cos, sin, cache, start):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache, start)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self, config: LlamaConfig):
        super().__init__()
        self.config = config
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(config.vocab_size, config.hidden_size),
                "layers": nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers)),
                "norm": nn.RMSNorm(config.hidden_size, config.rms_norm_eps),
            }
        )
        frequencies = config.rope_theta ** (-torch.arange(0, config.head_dim, 2).float() / config.head_dim)
        angles = torch.outer(torch.arange(config.max_position_embeddings).float(), frequencies)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Initializes the matrices randomly. Projections into the residual stream get smaller values."""
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = 0.02 if "embed" in name else parameter.shape[1] ** -0.5
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    scale *= 0.3
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)

    def hidden(self, ids: torch.Tensor, cache: Cache | None = None) -> torch.Tensor:
        """Maps token ids, int64 [rows, length], to normalized states [rows, length, hidden size].

        With a cache: continues after its `length` positions, and extends it. A prompt of several tokens needs an empty one.
        """
        start = cache.length if cache else 0
        end = start + ids.shape[1]
        x = self.model["embed_tokens"](ids)
        cos, sin = self.cos[start:end], self.sin[start:end]
        for index, layer in enumerate(self.model["layers"]):
            x = layer(x, cos, sin, (cache.keys[index], cache.values[index]) if cache else None, start)
        if cache:
            cache.length = end
        return self.model["norm"](x)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Maps states [..., hidden size] to logits [..., vocabulary]."""
        return F.linear(hidden, self.model["embed_tokens"].weight)
