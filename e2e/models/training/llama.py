"""The stories model in PyTorch. Its parameters have the Hugging Face names, so its state dict is a checkpoint."""

import torch
import torch.nn.functional as F
from torch import nn

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_SIZE, FEED_FORWARD, VOCABULARY = 6, 192, 6, 2, 32, 512, 2048
CONTEXT, ROPE_THETA, NORM_EPSILON = 512, 10_000.0, 1e-5


def _linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = _linear(HIDDEN, HEADS * HEAD_SIZE)
        self.k_proj = _linear(HIDDEN, KV_HEADS * HEAD_SIZE)
        self.v_proj = _linear(HIDDEN, KV_HEADS * HEAD_SIZE)
        self.o_proj = _linear(HEADS * HEAD_SIZE, HIDDEN)

    def forward(self, x, cos, sin):
        rows, length, _ = x.shape
        q = _rotate(self.q_proj(x).view(rows, length, HEADS, HEAD_SIZE).transpose(1, 2), cos, sin)
        k = _rotate(self.k_proj(x).view(rows, length, KV_HEADS, HEAD_SIZE).transpose(1, 2), cos, sin)
        v = self.v_proj(x).view(rows, length, KV_HEADS, HEAD_SIZE).transpose(1, 2)
        k, v = (t.repeat_interleave(HEADS // KV_HEADS, 1) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(rows, length, HEADS * HEAD_SIZE))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj = _linear(HIDDEN, FEED_FORWARD)
        self.up_proj = _linear(HIDDEN, FEED_FORWARD)
        self.down_proj = _linear(FEED_FORWARD, HIDDEN)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, dropout: float):
        super().__init__()
        self.self_attn, self.mlp = Attention(), FeedForward()
        self.input_layernorm = nn.RMSNorm(HIDDEN, NORM_EPSILON)
        self.post_attention_layernorm = nn.RMSNorm(HIDDEN, NORM_EPSILON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, cos, sin):
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), cos, sin))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class Llama(nn.Module):
    def __init__(self, dropout: float = 0.0):
        super().__init__()
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(VOCABULARY, HIDDEN),
                "layers": nn.ModuleList(Layer(dropout) for _ in range(LAYERS)),
                "norm": nn.RMSNorm(HIDDEN, NORM_EPSILON),
            }
        )
        frequencies = ROPE_THETA ** (-torch.arange(0, HEAD_SIZE, 2).float() / HEAD_SIZE)
        angles = torch.outer(torch.arange(CONTEXT).float(), frequencies)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Initializes the matrices randomly. Projections into the residual stream get smaller values."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = 0.02 if "embed" in name else parameter.shape[1] ** -0.5
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    scale *= 0.3
                parameter.normal_(0, scale, generator=generator)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Maps token ids, int64 [rows, length], to logits, f32 [rows, length, vocabulary]. length <= CONTEXT."""
        length = ids.shape[1]
        x = self.model["embed_tokens"](ids)
        for layer in self.model["layers"]:
            x = layer(x, self.cos[:length], self.sin[:length])
        return F.linear(self.model["norm"](x), self.model["embed_tokens"].weight)
