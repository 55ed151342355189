"""Renders the templates of this folder with transformers, as the reference for workers/text/jinja.

    python -m venv .venv && .venv/bin/pip install -r e2e/chat-templates/requirements.txt
    .venv/bin/python e2e/chat-templates/render.py

Writes expected.json: for each template, the prompt of each conversation in conversations.json, or null if jinja2 fails; and
the text of each line in expressions.txt, which is a template of its own.
"""

import json
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

FOLDER = Path(__file__).parent
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def render(template: str, messages: list, **variables):
    variables = {"tools": None, "documents": None, **TOKENS, **variables}
    try:
        rendered, _ = render_jinja_template(
            conversations=[messages], chat_template=template, add_generation_prompt=True, **variables
        )
        return rendered[0]
    except Exception:
        return None


conversations = json.loads((FOLDER / "conversations.json").read_text(encoding="utf-8"))
expressions = (FOLDER / "expressions.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
thinking = next(each["messages"] for each in conversations if each["name"] == "a thought in the history")
expected = {
    "templates": {
        path.stem: [
            render(path.read_text(encoding="utf-8"), each["messages"], **each.get("variables", {}))
            for each in conversations
        ]
        for path in sorted((FOLDER / "templates").glob("*.jinja"))
    },
    "expressions": [render(line, thinking) for line in expressions],
}
text = json.dumps(expected, ensure_ascii=False, indent=1) + "\n"
(FOLDER / "expected.json").write_text(text, encoding="utf-8")
