import type { ServerKind } from '../../lib/contract/remote-options.js'
import type { ModelSupport } from '../../lib/contract/worker-api.js'
import { isObject } from './server-failure.js'
import { getDialect, guidedFormat, toolOptions, type Dialect } from './server-kinds.js'
import type { Transport } from './transport.js'

/**
 * Returns the dialect of a server, after one request that generates nothing: llama.cpp's server shows the model's chat
 * template at `/props`; vLLM and SGLang list the fields that they know at `/openapi.json` (FastAPI), and ignore others. If the
 * request fails, because a proxy passes on only the API, the dialect is the one of the newest version.
 * @throws the reason of `signal`
 */
export async function askDialect(
  kind: ServerKind | undefined,
  transport: Transport,
  signal: AbortSignal,
): Promise<Dialect> {
  const dialect = getDialect(kind)
  const ask = (path: string): Promise<unknown> =>
    transport.get(path, signal).catch(() => signal.throwIfAborted())
  if (kind === 'llama-cpp') return applyProps(dialect, await ask('../props'))
  if (kind === 'vllm' || kind === 'sglang') return applyFields(dialect, await ask('../openapi.json'))
  return dialect
}

/** Matches the marks and variables of chat templates that let the model reason. */
const reasoningMark = /<think|\[THINK\]|<\|channel\|>|thinking|reasoning_content/

/** Leaves out what the model's chat template lacks: the server ignores it. */
function applyProps(dialect: Dialect, props: unknown): Dialect {
  if (!isObject(props)) return dialect
  const { chat_template_caps: caps, chat_template: template } = props
  const hasNoTools = isObject(caps) && caps.supports_tools === false
  const reasoning = typeof template === 'string' ? readReasoning(template) : dialect.reasoning
  const unsupported = hasNoTools ? [...dialect.unsupported, ...toolOptions] : dialect.unsupported
  const refined = {
    ...dialect,
    unsupported,
    reasoning,
    reason: "The chat template of the server's model lacks it.",
  }
  if (reasoning.length > 0) return refined
  // No thought comes before the answer, so a grammar can hold all of it.
  return { ...refined, takesGrammars: true, formats: ['json', 'json-schema', 'regex', 'grammar'] }
}

function readReasoning(template: string): ModelSupport['reasoning'] {
  if (!reasoningMark.test(template)) return []
  return /\b(?:enable_)?thinking\b/.test(template) ? ['on', 'off', 'budget'] : ['on', 'budget']
}

/** Leaves out what the server's version does not know. */
function applyFields(dialect: Dialect, description: unknown): Dialect {
  const fields = findFields(description)
  if (!fields) return dialect
  const has = (name: string) => name in fields
  const writesForms = has('structured_outputs') || has('regex')
  return {
    ...dialect,
    formats: dialect.formats.filter(
      (form) => form.startsWith('json') || writesForms || has(`guided_${form}`),
    ),
    writeFormat: writesForms ? dialect.writeFormat : guidedFormat,
    reasoning: dialect.reasoning.filter((demand) => demand !== 'budget' || has('thinking_token_budget')),
  }
}

/** Returns the fields of a chat request from a description in OpenAPI. */
function findFields(description: unknown): object | undefined {
  const read = (value: unknown, name: string): unknown => (isObject(value) ? value[name] : undefined)
  const schemas = read(read(description, 'components'), 'schemas')
  const properties = read(read(schemas, 'ChatCompletionRequest'), 'properties')
  return isObject(properties) ? properties : undefined
}
