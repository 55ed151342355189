"""Creates the JSON files of a Hugging Face folder for SmolLM2 from the metadata of its GGUF file."""

from __future__ import annotations

from typing import Any

from gguf import TokenType

from llama_gguf import GgufModel

JsonObject = dict[str, Any]


def config_json(model: GgufModel) -> JsonObject:
    config, metadata = model.config, model.metadata
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": metadata["tokenizer.ggml.bos_token_id"],
        "eos_token_id": metadata["tokenizer.ggml.eos_token_id"],
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_position_embeddings,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers,
        "num_key_value_heads": config.num_key_value_heads,
        "pad_token_id": metadata["tokenizer.ggml.padding_token_id"],
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "transformers.js_config": {"use_external_data_format": {"model_q4.onnx": 1, "model_quantized.onnx": 1}},
        "use_cache": True,
        "vocab_size": config.vocab_size,
    }


def generation_config_json(model: GgufModel) -> JsonObject:
    metadata = model.metadata
    return {
        "bos_token_id": metadata["tokenizer.ggml.bos_token_id"],
        "eos_token_id": metadata["tokenizer.ggml.eos_token_id"],
        "pad_token_id": metadata["tokenizer.ggml.padding_token_id"],
    }


def tokenizer_json(model: GgufModel) -> JsonObject:
    """Returns a byte-level BPE tokenizer that splits numbers into digits, like the original tokenizer of SmolLM2."""
    tokens: list[str] = model.metadata["tokenizer.ggml.tokens"]
    kinds: list[int] = model.metadata["tokenizer.ggml.token_type"]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    control = [id for id, kind in enumerate(kinds) if kind == TokenType.CONTROL]
    byte_level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id, "content": tokens[id], **flags} for id in control],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {**byte_level, "add_prefix_space": False},
            ],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: id for id, token in enumerate(tokens)},
            "merges": model.metadata["tokenizer.ggml.merges"],
        },
    }


def tokenizer_config_json(model: GgufModel) -> JsonObject:
    tokens, metadata = model.metadata["tokenizer.ggml.tokens"], model.metadata
    return {
        "add_bos_token": metadata["tokenizer.ggml.add_bos_token"],
        "add_prefix_space": metadata["tokenizer.ggml.add_space_prefix"],
        "bos_token": tokens[metadata["tokenizer.ggml.bos_token_id"]],
        "chat_template": metadata["tokenizer.chat_template"],
        "clean_up_tokenization_spaces": False,
        "eos_token": tokens[metadata["tokenizer.ggml.eos_token_id"]],
        "model_max_length": model.config.max_position_embeddings,
        "pad_token": tokens[metadata["tokenizer.ggml.padding_token_id"]],
        "tokenizer_class": "GPT2Tokenizer",
        "unk_token": tokens[metadata["tokenizer.ggml.unknown_token_id"]],
    }
