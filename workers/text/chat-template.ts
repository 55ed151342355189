import { Environment, Interpreter, Template } from '@huggingface/jinja'
import { RivuletError, describeError } from '../../lib/contract/errors.js'
import type { ChatMessage } from '../../lib/contract/request.js'

/** A part of a rendered prompt: text of the template, or the content of a message. */
export interface PromptPart {
  readonly text: string
  /** True if the part is the content of a message. Content is untrusted: no text in it may become a control token. */
  readonly isContent: boolean
}

/** A tokenizer's control tokens, by the names that templates use. */
export interface TemplateTokens {
  readonly bos_token?: string | undefined
  readonly eos_token?: string | undefined
  readonly pad_token?: string | undefined
  readonly unk_token?: string | undefined
}

/** Limits the run time, since a template is an untrusted program. */
const maxTemplateSteps = 200_000
/** One step is an evaluation, an iteration of a loop, or this many characters of a new value. */
const charactersPerStep = 10
const maxRangeLength = 10_000

/**
 * Renders a conversation with the model's Jinja template.
 * The template sees a sentinel (a placeholder) in place of each message's content. After rendering, the content replaces
 * the sentinel as a separate part. So control tokens are recognized only in the text of the template. White space around a
 * content stays outside the sentinel, for templates that trim white space.
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
  // Splitting at a captured group returns text and indices in turn: text, index, text, index, … text.
  return rendered
    .split(sentinelPattern)
    .map((piece, index) =>
      index % 2 === 0
        ? { text: piece, isContent: false }
        : { text: contents[Number(piece)] ?? '', isContent: true },
    )
    .filter((part) => part.text !== '')
}

// Two noncharacters. Text for interchange does not contain noncharacters (Unicode 16, section 23.7).
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
        'Use roles in the order that the model supports, or pass a string with applyChatTemplate: false.',
      { cause: error },
    )
  }
}

type EvaluateArguments = Parameters<Interpreter['evaluate']>
type RuntimeValue = ReturnType<Interpreter['evaluate']>

/** Stops a template that runs or grows without limit. */
class BoundedInterpreter extends Interpreter {
  #steps = 0
  readonly #iterables = new WeakSet<object>()
  readonly #sizes = new WeakMap<RuntimeValue, number>()

  override evaluate(...args: EvaluateArguments): RuntimeValue {
    this.#spend(1)
    const [node] = args
    if (node && 'iterable' in node && node.iterable instanceof Object) this.#iterables.add(node.iterable)
    const value = super.evaluate(...args)
    // A loop with an empty body evaluates nothing in its iterations, so count them here.
    if (node && this.#iterables.has(node)) this.#spend(listParts(value).length)
    this.#measure(value)
    return value
  }

  #spend(steps: number): void {
    this.#steps += steps
    if (this.#steps > maxTemplateSteps) throw new Error(`it exceeds ${maxTemplateSteps} steps.`)
  }

  /** Estimates how many characters a value has as text. A list can contain one long value many times; each time counts. */
  #measure(value: RuntimeValue): number {
    const known = this.#sizes.get(value)
    if (known !== undefined) return known
    const size = typeof value.value === 'string' ? value.value.length : this.#measureParts(listParts(value))
    this.#spend(Math.floor(size / charactersPerStep))
    // A namespace can change, so its size is not stored. No other value can.
    if (value.type !== 'NamespaceValue') this.#sizes.set(value, size)
    return size
  }

  #measureParts(parts: readonly RuntimeValue[]): number {
    let size = 1
    for (const part of parts) {
      // A nested namespace could grow after the size of its container was measured.
      if (part.type === 'NamespaceValue') throw new Error('it stores a namespace inside another value.')
      size += 1 + this.#measure(part)
    }
    return size
  }
}

/** Returns the values in a list or an object; an empty list for any other value. */
function listParts({ value }: RuntimeValue): readonly RuntimeValue[] {
  if (Array.isArray(value)) return value
  return value instanceof Map ? [...value.values()] : []
}

/**
 * The globals that transformers defines for each template. The Jinja package can define them too, but its `range` has no
 * limit.
 */
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
    // Also refuses a step of 0 that gives an infinite or NaN length.
    if (!(length <= maxRangeLength)) throw new Error(`range() is limited to ${maxRangeLength} numbers.`)
    return Array.from({ length }, (_, index) => from + index * step)
  },
  raise_exception: (message: string) => {
    throw new Error(message)
  },
  strftime_now: (format: string) => formatDate(new Date(), format),
}

/** Formats a date. Supports the fields of `strftime` that published chat templates use. */
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
