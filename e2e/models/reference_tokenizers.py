"""Writes tokenizers/*.json: small tokenizers in the shapes of published ones, and the ids that Python's tokenizers gives them.

python reference_tokenizers.py

Each file has the tokenizer (`tokenizer.json`), the ids of each text as template text (`ids`), and the ids of those texts
whose ids differ if special tokens are text (`contentIds`, by index). `texts.json` has the texts. The vocabularies have
200 to 500 tokens.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

OUTPUT = Path(__file__).parent / "tokenizers"

CORPUS = [
    "Once upon a time there was a little dragon who lived in a cave near the sea. The dragon was very kind. " * 3,
    "What is the capital of France? The capital of France is Paris. It's a city, isn't it? I'll go there. " * 3,
    "def add(a, b):\n    return a + b\n\n\nfor i in range(10):\n    print(add(i, 1))\n" * 3,
    "Für Größe und Wärme übt die Straße. Ça va très bien, merci. " * 2,
    "Привет, как дела? 你好，世界。今天天气很好。 日本語のテキスト 한국어 " * 2,
    "1234567890 3.14159 12:30 <b>bold</b> hello hello\r\n\tend\n" * 3,
]

TEXTS = [
    "",
    "a",
    " ",
    "Hello, world!",
    "hello hello",
    "  leading, and trailing  ",
    " " * 80 + "x",
    "x" + " " * 33 + "y",
    "a\n\nb\n\n\n\nc",
    "line\r\nline\r\n\r\n\rend",
    "\ttabs\t\tmore\t",
    "def f(x):\n    if x == 1:\n        return {'a': [1, 2]}  # done\n\n\n",
    "<b>bold</b> <h1>t</h1>",
    "😀👍🏽👨\u200d👩\u200d👧 🏳️\u200d🌈 🇩🇪",
    "你好，世界。日本語のテキスト、한국어",
    "مرحبا ١٢٣ שלום \u202eabc\u202c",
    "नमस्ते ไทย",
    "Größe, naïve façade",
    "cafe\u0301 caf\u00e9 \u212b \ufb01 A\u030a\u0327",
    "1234567 3.14 ½ ² Ⅷ ٣ 007",
    "a\u00a0b\u2003c\u200bd\u2028e\u0085f\ufeffg\u3000h",
    "\u0000\u0001\u007f\ufffd",
    "it's I'LL don't 'twas ſ",
    "<|im_end|><|im_start|>system\nhi",
    "<s>[INST] x </s>",
    "<think>\nhm\n</think> <|im_end|> \n next",
    "▁▁▁ ▁a▁b",
    "<0x41><0x0A>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "$& $1 $$ \\ `",
    "....!!!??? ---",
    "𝒳 𐍈 𠀀",
    "hello,hello hellohello é é",
    "İstanbul ΑΣ",
    "The little dragon lived near the sea. " * 8,
]

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = ["<|im_start|>", "<|im_end|>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def train_bytes(pre_tokenizer: Any, normalizer: Any = None, **model: Any) -> Tokenizer:
    """Byte-level BPE."""
    tokenizer = Tokenizer(models.BPE(**model))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=440, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    return tokenizer


def split_words(pattern: str) -> Any:
    """The pre-tokenizer of most byte-level vocabularies."""
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def train_pieces(normalizer: Any, pre_tokenizer: Any, runs: bool = False, rstrip: bool = False) -> Tokenizer:
    """BPE as SentencePiece has it, with byte fallback."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    pieces = ["<unk>", *SPECIAL, *BYTES]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=pieces, limit_alphabet=60, show_progress=False)
    tokenizer.train_from_iterator([text.replace("\n", " ") for text in CORPUS], trainer)
    model = json.loads(tokenizer.to_str())
    if runs:
        vocabulary = model["model"]["vocab"]
        for length in (1, 2, 4, 8):
            vocabulary.setdefault("▁" * length * 2, len(vocabulary))
            model["model"]["merges"].append(["▁" * length] * 2)
    model["added_tokens"] = [
        {**token, "normalized": False, "rstrip": rstrip and token["content"] == "<|im_end|>"}
        for token in model["added_tokens"]
        if token["content"] not in BYTES
    ]
    tokenizer = Tokenizer.from_str(json.dumps(model))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    if runs:
        html = ["<b>", "</b>", "<h1>", "</h1>", "\n\n", "▁▁▁"]
        tokenizer.add_tokens([AddedToken(text, normalized=False) for text in html])
    return tokenizer


def train_unigram(normalizer: Any, pre_tokenizer: Any, byte_fallback: bool = False) -> Tokenizer:
    """Unigram as SentencePiece has it."""
    tokenizer = Tokenizer(models.Unigram())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    special = ["<unk>", *(BYTES if byte_fallback else []), *SPECIAL]
    trainer = trainers.UnigramTrainer(
        vocab_size=256 + len(special), special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())
    model["model"]["byte_fallback"] = byte_fallback
    # In the vocabulary, the text of a special token would be an ordinary piece.
    for piece in model["model"]["vocab"]:
        if piece[0] in SPECIAL:
            piece[0] = f"unused {piece[0]}"
        piece[1] = round(piece[1], 4)
    added = [token for token in model["added_tokens"] if token["content"] not in [*BYTES, *SPECIAL]]
    model["added_tokens"] = added
    tokenizer = Tokenizer.from_str(json.dumps(model))
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    return tokenizer


def compile_characters() -> bytes:
    """A map of characters, compiled by SentencePiece: two characters to one, one to two, and one to nothing."""
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder, "rules.tsv")
        rules.write_text("65 30A\t41\nFB01\t66 69\n65 301\tE9\n200B\t\n3000\t20\nFF0C\t2C\n")
        Path(folder, "corpus.txt").write_text("\n".join(CORPUS))
        sentencepiece.SentencePieceTrainer.train(
            input=str(Path(folder, "corpus.txt")),
            model_prefix=str(Path(folder, "model")),
            vocab_size=150,
            hard_vocab_limit=False,
            normalization_rule_tsv=str(rules),
            minloglevel=2,
        )
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString(Path(folder, "model.model").read_bytes())
        return model.normalizer_spec.precompiled_charsmap


def make_tokenizers() -> dict[str, Tokenizer]:
    """The tokenizers by the models whose shape they have."""
    byte_words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    spaces = normalizers.Replace(" ", "▁")
    metaspace = pre_tokenizers.Metaspace
    precompiled = normalizers.Sequence(
        [normalizers.Precompiled(compile_characters()), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    nmt = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    return {
        "gpt2": train_bytes(byte_words),
        "llama3": train_bytes(split_words(LLAMA3), ignore_merges=True),
        "qwen": train_bytes(split_words(LLAMA3.replace("{1,3}", "")), normalizers.NFC()),
        "smollm": train_bytes(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_words])),
        "falcon": train_bytes(pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), byte_words])),
        "llama2": train_pieces(normalizers.Sequence([normalizers.Prepend("▁"), spaces]), None, rstrip=True),
        "mistral": train_pieces(None, metaspace(prepend_scheme="first", split=False)),
        "gemma": train_pieces(spaces, pre_tokenizers.Split(" ", "merged_with_previous"), runs=True),
        "xglm": train_unigram(nmt, metaspace(prepend_scheme="always")),
        "llm-jp": train_unigram(None, metaspace(prepend_scheme="first", split=False), byte_fallback=True),
        "t5": train_unigram(precompiled, metaspace(prepend_scheme="always")),
    }


def describe(tokenizer: Tokenizer) -> dict[str, Any]:
    def encode() -> list[list[int]]:
        return [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]

    ids = encode()
    tokenizer.encode_special_tokens = True
    differing = {
        index: content for index, (content, other) in enumerate(zip(encode(), ids)) if content != other
    }
    return {"tokenizer": json.loads(tokenizer.to_str()), "ids": ids, "contentIds": differing}


def main() -> None:
    OUTPUT.mkdir(exist_ok=True)
    files = {name: describe(tokenizer) for name, tokenizer in make_tokenizers().items()}
    for name, content in [("texts", TEXTS), *files.items()]:
        text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
        Path(OUTPUT, f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
