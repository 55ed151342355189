import { RivuletError } from '../../lib/contract/errors.js'
import { createChatTemplate, type ChatTemplate, type TemplateVariables } from './chat-template.js'

/** Jinja templates by name. The one named `default` is for conversations. */
export type NamedTemplates = ReadonlyMap<string, string>

/** Reads a field `chat_template` of a model's files: one template, or a list of `{ name, template }`. */
export function readTemplates(field: unknown): NamedTemplates {
  if (typeof field === 'string') return new Map([['default', field]])
  const entries = Array.isArray(field) ? (field as readonly unknown[]) : []
  return new Map(
    entries.flatMap((entry) => {
      const { name, template } = (entry ?? {}) as { readonly name?: unknown; readonly template?: unknown }
      return typeof name === 'string' && typeof template === 'string' ? [[name, template] as const] : []
    }),
  )
}

/**
 * Returns the chat template of a model, or undefined if it has none.
 * @param found the templates in the model's files
 * @param option the option `chatTemplate`: a Jinja template, or the name of one of the model's templates
 * @param tokens the texts of control tokens, by the names that templates use
 * @throws RivuletError `invalid-option` if the model has no template of the name `option`
 */
export function findChatTemplate(
  found: NamedTemplates,
  option: string | undefined,
  tokens: TemplateVariables,
): ChatTemplate | undefined {
  if (option === undefined) return found.has('default') ? createChatTemplate(found, tokens) : undefined
  const source = found.get(option) ?? (isTemplate(option) ? option : refuseName(option, found))
  return createChatTemplate(new Map([['default', source]]), tokens)
}

/** Every template that writes a message has a tag. */
export function isTemplate(text: string): boolean {
  return text.includes('{{') || text.includes('{%')
}

function refuseName(name: string, found: NamedTemplates): never {
  const names =
    found.size === 0 ? 'It has no templates' : `Its templates are: ${[...found.keys()].join(', ')}`
  throw new RivuletError(
    'invalid-option',
    `"chatTemplate" must be a Jinja template or the name of one of the model's templates; got "${name}". ${names}.`,
    { details: { option: 'chatTemplate' } },
  )
}

/** The names of the tokens that transformers passes to templates: its `special_tokens_map`. */
const tokenNames = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
] as const

/**
 * Reads the tokens that a template can use from `tokenizer_config.json`. As in transformers, a token that the model does
 * not have is undefined in the template.
 */
export function readTemplateTokens(config: Readonly<Record<string, unknown>>): TemplateVariables {
  const named = tokenNames.map((name) => [name, readToken(config[name])] as const)
  const extra = Object.entries(asObject(config.extra_special_tokens)).map(
    ([name, token]) => [name, readToken(token)] as const,
  )
  const additional = config.additional_special_tokens
  const list: readonly unknown[] = Array.isArray(additional) ? additional : []
  const texts = list.flatMap((token) => readToken(token) ?? [])
  return {
    ...Object.fromEntries([...extra, ...named].filter(([, token]) => token !== undefined)),
    ...(texts.length > 0 && { additional_special_tokens: texts }),
  }
}

/** Reads a token of `tokenizer_config.json`, which is a string or an object with `content`. */
export function readToken(token: unknown): string | undefined {
  if (typeof token === 'string') return token
  const { content } = asObject(token)
  return typeof content === 'string' ? content : undefined
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {}
}
