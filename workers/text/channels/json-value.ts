/** Finds the end of a JSON value that arrives in characters. Does not check the value. */
export interface JsonValueScanner {
  /**
   * Adds a character.
   * @returns `inside`: it belongs to the value; `last`: it is the value's last; `after`: the value, a number or a word, ended
   *   before it
   */
  read(character: string): 'inside' | 'last' | 'after'
  readonly isInText: boolean
}

export function createJsonValueScanner(): JsonValueScanner {
  let depth = 0
  let isInText = false
  let isEscaped = false
  let isScalar = false

  function readText(character: string): 'inside' | 'last' {
    if (isEscaped) isEscaped = false
    else if (character === '\\') isEscaped = true
    else if (character === '"') isInText = false
    return !isInText && depth === 0 ? 'last' : 'inside'
  }

  return {
    get isInText() {
      return isInText
    },
    read(character) {
      if (isInText) return readText(character)
      if (depth === 0 && isScalar && /[\s,\]}]/.test(character)) return 'after'
      if (character === '"') isInText = true
      else if (character === '{' || character === '[') depth += 1
      else if (character === '}' || character === ']') depth -= 1
      else if (depth === 0) isScalar = true
      return depth <= 0 && !isInText && !isScalar ? 'last' : 'inside'
    },
  }
}

/** Returns the value of a JSON text, or undefined if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
