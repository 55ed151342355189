/**
 * A chat template in the style of Hermes and Qwen, with tools, calls and thoughts, which the embedded model's own template does not have.
 * Without them, it writes what that template writes.
 */
export const hermesTemplate = `{%- if tools %}{{ '<|user|>Tools: ' ~ (tools | tojson) ~ ' Call one as <tool_call>{"name": "a", "arguments": {}}</tool_call><|end|>' }}{% endif -%}
{%- for message in messages %}
{%- if message.role == 'tool' %}{{ '<|user|><tool_response>' ~ message.content ~ '</tool_response><|end|>' }}
{%- else %}{{ '<|' ~ message.role ~ '|>' ~ message.content }}
{%- for call in message.tool_calls or [] %}{{ '<tool_call>\\n{"name": "' ~ call.function.name ~ '", "arguments": ' ~ (call.function.arguments | tojson) ~ '}\\n</tool_call>' }}{% endfor %}{{ '<|end|>' }}
{%- endif %}{% endfor -%}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}`
