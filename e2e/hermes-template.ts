function writeTemplate(thought: string, start: string): string {
  return `{%- if tools %}{{ '<|user|>Tools: ' ~ (tools | tojson) ~ ' Call one as <tool_call>{"name": "a", "arguments": {}}</tool_call><|end|>' }}{% endif -%}
{%- for message in messages %}
{%- if message.role == 'tool' %}{{ '<|user|><tool_response>' ~ message.content ~ '</tool_response><|end|>' }}
{%- else %}{{ '<|' ~ message.role ~ '|>' }}${thought}{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}{{ '<tool_call>\\n{"name": "' ~ call.function.name ~ '", "arguments": ' ~ (call.function.arguments | tojson) ~ '}\\n</tool_call>' }}{% endfor %}{{ '<|end|>' }}
{%- endif %}{% endfor -%}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}${start}{% endif %}`
}

/**
 * A chat template in the style of Hermes and Qwen, with tools and calls, which the embedded model's own template does not have.
 * Without them, it writes what that template writes.
 */
export const hermesTemplate = writeTemplate('', '')

/** The same with thoughts. The variable `enable_thinking` decides whether the model reasons. */
export const thinkingTemplate = writeTemplate(
  String.raw`{% if message.reasoning_content %}{{ '<think>\n' ~ message.reasoning_content ~ '\n</think>\n\n' }}{% endif %}`,
  String.raw`{% if enable_thinking %}{{ '<think>\n' }}{% else %}{{ '<think>\n\n</think>\n\n' }}{% endif %}`,
)
