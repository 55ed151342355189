import { Environment, Interpreter, Template } from '@huggingface/jinja'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { ChatMessage } from '../../lib/contract/request.js'

/** A stretch of a rendered prompt: the template's own words, or words of a message. */
export interface PromptPart {
  readonly text: string
  /** Content is somebody's words: nothing in it may become a control token. */
  readonly isContent: boolean
}

/** The names that templates use for a tokenizer's control tokens. */
export interface TemplateTokens {
  readonly bos_token?: string | undefined
  readonly eos_token?: string | undefined
  readonly pad_token?: string | undefined
  readonly unk_token?: string | undefined
}

/** A template is a stranger's program: it gets this many steps. */
const maxTemplateSteps = 200_000
/** A step is one evaluation, one turn of a loop, or these many characters of a new value. */
const charactersPerStep = 10
const maxRangeLength = 10_000

/**
 * Renders a conversation with the model's own Jinja template.
 * Each content goes in as a sentinel and is put back as a part of its own, so that control tokens can be looked for
 * in the template's words alone. White space around a content stays outside the sentinel, for templates that trim it.
 * @throws RivuletError `chat-template-failed`
 */
export function renderChatTemplate(
  template: string,
  messages: readonly ChatMessage[],
  tokens: TemplateTokens,
): PromptPart[] {
  const contents: string[] = []
  const masked = messages.map(({ role, content }) => {
    const core = content.trim()
    if (core === '') return { role, content }
    const [before, after] = [
      content.slice(0, content.indexOf(core)),
      content.slice(content.indexOf(core) + core.length),
    ]
    contents.push(core)
    return { role, content: `${before}${sentinelStart}${contents.length - 1}${sentinelEnd}${after}` }
  })
  const rendered = render(template, { ...tokens, messages: masked, add_generation_prompt: true })
  // Splitting on a captured group alternates: literal, index, literal, index, … literal.
  return rendered
    .split(sentinelPattern)
    .map((piece, index) =>
      index % 2 === 0
        ? { text: piece, isContent: false }
        : { text: contents[Number(piece)] ?? '', isContent: true },
    )
    .filter((part) => part.text !== '')
}

// Noncharacters: never part of interchanged text (Unicode 16, section 23.7).
const sentinelStart = '\uFDD0'
const sentinelEnd = '\uFDD1'
const sentinelPattern = new RegExp(`${sentinelStart}(\\d+)${sentinelEnd}`)

function render(template: string, variables: Record<string, unknown>): string {
  try {
    const environment = new Environment()
    for (const [name, value] of Object.entries({ ...templateGlobals, ...variables }))
      environment.set(name, value)
    return new BoundedInterpreter(environment).run(new Template(template).parsed).toString()
  } catch (error) {
    throw new RivuletError(
      'chat-template-failed',
      `The model's chat template failed: ${describeError(error)} ` +
        'Give messages in the order that the model knows, or a string with applyChatTemplate: false.',
      { cause: error },
    )
  }
}

type EvaluateArguments = Parameters<Interpreter['evaluate']>
type RuntimeValue = ReturnType<Interpreter['evaluate']>

/** Ends a template that loops or grows without end. */
class BoundedInterpreter extends Interpreter {
  #steps = 0
  readonly #iterables = new WeakSet<object>()
  readonly #sizes = new WeakMap<RuntimeValue, number>()

  override evaluate(...args: EvaluateArguments): RuntimeValue {
    this.#spend(1)
    const [node] = args
    if (node && 'iterable' in node && node.iterable instanceof Object) this.#iterables.add(node.iterable)
    const value = super.evaluate(...args)
    // The turns of a loop with an empty body evaluate nothing.
    if (node && this.#iterables.has(node)) this.#spend(listParts(value).length)
    this.#measure(value)
    return value
  }

  #spend(steps: number): void {
    this.#steps += steps
    if (this.#steps > maxTemplateSteps) throw new Error(`it loops or grows beyond ${maxTemplateSteps} steps.`)
  }

  /** About how many characters a value has when it is written out: a list can hold one long value many times. */
  #measure(value: RuntimeValue): number {
    const known = this.#sizes.get(value)
    if (known !== undefined) return known
    const size = typeof value.value === 'string' ? value.value.length : this.#measureParts(listParts(value))
    this.#spend(Math.floor(size / charactersPerStep))
    // A namespace changes; every other value stays as it is.
    if (value.type !== 'NamespaceValue') this.#sizes.set(value, size)
    return size
  }

  #measureParts(parts: readonly RuntimeValue[]): number {
    let size = 1
    for (const part of parts) {
      // Namespaces inside one another could grow behind the sizes that are known.
      if (part.type === 'NamespaceValue') throw new Error('it puts a namespace into another value.')
      size += 1 + this.#measure(part)
    }
    return size
  }
}

/** The values that a list or an object holds. */
function listParts({ value }: RuntimeValue): readonly RuntimeValue[] {
  if (Array.isArray(value)) return value
  return value instanceof Map ? [...value.values()] : []
}

/** What transformers gives every template; the package sets these only together with an unbounded `range`. */
const templateGlobals = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  range: (start: number, stop?: number, step = 1) => {
    const [from, to] = stop === undefined ? [0, start] : [start, stop]
    const length = Math.max(0, Math.ceil((to - from) / step))
    // Also refuses a step of zero, whose length is not finite.
    if (!(length <= maxRangeLength)) throw new Error(`range() gives at most ${maxRangeLength} numbers.`)
    return Array.from({ length }, (_, index) => from + index * step)
  },
  raise_exception: (message: string) => {
    throw new Error(message)
  },
  strftime_now: (format: string) => formatDate(new Date(), format),
}

/** The fields of `strftime` that published chat templates use. */
function formatDate(date: Date, format: string): string {
  const pad = (value: number) => String(value).padStart(2, '0')
  const name = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('en', options).format(date)
  const fields: Record<string, () => string> = {
    Y: () => String(date.getFullYear()),
    m: () => pad(date.getMonth() + 1),
    d: () => pad(date.getDate()),
    H: () => pad(date.getHours()),
    M: () => pad(date.getMinutes()),
    S: () => pad(date.getSeconds()),
    b: () => name({ month: 'short' }),
    B: () => name({ month: 'long' }),
    a: () => name({ weekday: 'short' }),
    A: () => name({ weekday: 'long' }),
  }
  return format.replace(/%([A-Za-z])/g, (field, letter: string) => fields[letter]?.() ?? field)
}
