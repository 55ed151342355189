"""Writes the stories model as a GGUF file for llama.cpp (and wllama)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_VERSION, GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType

from llama_config import LlamaConfig
from llama_gguf import gguf_names, row_order


def write_stories_gguf(
    path: Path,
    config: LlamaConfig,
    matrices: Mapping[str, np.ndarray],
    norms: Mapping[str, np.ndarray],
    tokenizer: Mapping[str, Any],
    tokenizer_config: Mapping[str, Any],
) -> None:
    """Writes the GGUF file.

    `matrices`: Q8_0 blocks, uint8 [rows, bytes per row], and `norms`: f32 [hidden_size], both by Hugging Face name with
    rows in Hugging Face order. `tokenizer` and `tokenizer_config`: the parsed JSON files.
    """
    writer = GGUFWriter(path, "llama")
    _add_shape(writer, config)
    _add_tokenizer(writer, tokenizer, tokenizer_config)
    for gguf_name, name in gguf_names(config).items():
        if name in norms:
            writer.add_tensor(gguf_name, norms[name])
        else:
            order = row_order(config, name)
            rows = matrices[name] if order is None else matrices[name][order]
            writer.add_tensor(gguf_name, rows, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: GGUFWriter, config: LlamaConfig) -> None:
    writer.add_name("Stories")
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(writer: GGUFWriter, tokenizer: Mapping[str, Any], tokenizer_config: Mapping[str, Any]) -> None:
    """Adds a byte-level BPE tokenizer. ByteLevel with use_regex splits text like GPT-2: `gpt-2` in llama.cpp."""
    ids: dict[str, int] = tokenizer["model"]["vocab"]
    control = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    tokens = sorted(ids, key=ids.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token in control else TokenType.NORMAL for token in tokens])
    writer.add_token_merges(tokenizer["model"]["merges"])
    writer.add_bos_token_id(ids[tokenizer_config["bos_token"]])
    writer.add_eos_token_id(ids[tokenizer_config["eos_token"]])
    writer.add_pad_token_id(ids[tokenizer_config["pad_token"]])
    writer.add_add_bos_token(tokenizer_config["add_bos_token"])
    writer.add_add_space_prefix(False)
    writer.add_chat_template(tokenizer_config["chat_template"])
