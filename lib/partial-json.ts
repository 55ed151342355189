/** Reads a JSON text while it grows. */
export interface PartialJson {
  /** Adds text. @returns true if `value` has changed */
  add(text: string): boolean
  /**
   * The value so far; undefined before its start. Only its last string, and the lists and objects around it, can still grow:
   * numbers, `true`, `false` and `null` are missing until they are complete. A snapshot: it never changes, and parts that have
   * not changed are the same objects as in the snapshot before.
   */
  readonly value: unknown
}

/** A list or an object that is still open. */
interface Frame {
  readonly content: unknown[] | Record<string, unknown>
  /** The name of an object's property whose value is being read. */
  key: string
}

/**
 * What can come next. `first-item` and `first-key` also allow the end of a list or an object. `broken`: the text is not
 * JSON, or too deep, and the value stays as it is.
 */
type State =
  | 'value'
  | 'first-item'
  | 'key'
  | 'first-key'
  | 'colon'
  | 'comma'
  | 'string'
  | 'name'
  | 'scalar'
  | 'end'
  | 'broken'

/** The maximum depth of lists and objects. Deeper values could exceed the stack of the code that reads them. */
const maxDepth = 512

const plainText = /[^"\\\p{Cc}]*/uy
const scalarText = /[-+.\w]*/y
const missing = Symbol('missing')

/** Creates a reader that reads each character once, without recursion. It accepts the texts of RFC 8259. */
export function createPartialJson(): PartialJson {
  const frames: Frame[] = []
  let state: State = 'value'
  let root: unknown = missing
  /** The decoded characters of the current string or name, or the characters of the current scalar. */
  let token = ''
  /** The start of an escape sequence that is not complete. */
  let escape = ''
  let hasChanged = false

  function open(content: Frame['content'], next: State): void {
    if (frames.length >= maxDepth) return void (state = 'broken')
    frames.push({ content, key: '' })
    state = next
    hasChanged = true
  }

  function put(value: unknown): void {
    const frame = frames.at(-1)
    if (frame) addTo(frame.content, frame.key, value)
    else root = value
    state = frame ? 'comma' : 'end'
    hasChanged = true
  }

  function close(mark: string): void {
    const frame = frames.at(-1)
    if (!frame || Array.isArray(frame.content) !== (mark === ']')) return void (state = 'broken')
    frames.pop()
    put(frame.content)
  }

  /** Reads one character outside of strings and scalars. */
  function readMark(mark: string): void {
    if (mark === ' ' || mark === '\n' || mark === '\r' || mark === '\t') return
    const isValue = state === 'value' || state === 'first-item'
    if (isValue && mark === '{') return open({}, 'first-key')
    if (isValue && mark === '[') return open([], 'first-item')
    if (isValue && mark === '"') return startToken('string', '')
    if (isValue && /[-\dtfn]/.test(mark)) return startToken('scalar', mark)
    if ((state === 'key' || state === 'first-key') && mark === '"') return startToken('name', '')
    if (state === 'colon' && mark === ':') return void (state = 'value')
    if (state === 'comma' && mark === ',') {
      return void (state = Array.isArray(frames.at(-1)!.content) ? 'value' : 'key')
    }
    const canClose = state === 'comma' || state === 'first-item' || state === 'first-key'
    if (canClose && (mark === ']' || mark === '}')) return close(mark)
    state = 'broken'
  }

  function startToken(kind: 'string' | 'name' | 'scalar', start: string): void {
    state = kind
    token = start
    if (kind === 'string') hasChanged = true
  }

  /** Reads the rest of a string or a name. @returns where it stopped */
  function readString(text: string, from: number): number {
    let at = from
    while (at < text.length) {
      if (escape !== '') {
        escape += text[at]
        at += 1
        readEscape()
        if (state === 'broken') return at
        continue
      }
      plainText.lastIndex = at
      const plain = plainText.exec(text)![0]
      token += plain
      if (plain !== '' && state === 'string') hasChanged = true
      at += plain.length
      if (at === text.length) return at
      const mark = text[at]!
      at += 1
      if (mark === '\\') escape = mark
      else if (mark === '"') {
        endString()
        return at
      } else if (mark < ' ') {
        state = 'broken'
        return at
      } else token += mark
    }
    return at
  }

  function readEscape(): void {
    if (escape[1] === 'u' && escape.length < 6) return
    try {
      token += JSON.parse(`"${escape}"`) as string
      if (state === 'string') hasChanged = true
    } catch {
      state = 'broken'
    }
    escape = ''
  }

  function endString(): void {
    if (state === 'string') return put(token)
    frames.at(-1)!.key = token
    state = 'colon'
  }

  /** Reads the rest of a number, `true`, `false` or `null`. @returns where it stopped */
  function readScalar(text: string, from: number): number {
    scalarText.lastIndex = from
    token += scalarText.exec(text)![0]
    const { lastIndex } = scalarText
    if (lastIndex === text.length) return lastIndex
    try {
      put(JSON.parse(token))
    } catch {
      state = 'broken'
    }
    return lastIndex
  }

  return {
    add(text) {
      hasChanged = false
      for (let at = 0; at < text.length && state !== 'broken';) {
        if (state === 'string' || state === 'name') at = readString(text, at)
        else if (state === 'scalar') at = readScalar(text, at)
        else {
          readMark(text[at]!)
          at += 1
        }
      }
      return hasChanged
    },
    get value() {
      // The first half of a surrogate pair can come in an escape sequence of its own.
      let value: unknown = state === 'string' ? token.replace(/[\uD800-\uDBFF]$/, '') : missing
      for (const { content, key } of frames.toReversed()) {
        const copy = Array.isArray(content) ? [...(content as unknown[])] : { ...content }
        if (value !== missing) addTo(copy, key, value)
        value = copy
      }
      if (value === missing) value = root
      return value === missing ? undefined : value
    },
  }
}

function addTo(content: Frame['content'], key: string, value: unknown): void {
  if (Array.isArray(content)) content.push(value)
  // As in JSON.parse, "__proto__" is a property as any other. An assignment would set the prototype.
  else Object.defineProperty(content, key, { value, writable: true, enumerable: true, configurable: true })
}
