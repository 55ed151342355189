/** Matches the head of a function, with its attributes. */
const functionHead = /((?:@\w+(?:\s*\([^)]*\))?\s*)*)\bfn\s+\w+\s*\(/g
/** Matches the declaration of a bound variable. */
const binding = /@group\(\d+\)\s*@binding\(\d+\)\s*var(?:<[^>]*>)?\s*(\w+)/g

/**
 * Removes what a WGSL shader computes: its entry points only name the bound variables, so that its layout stays the same, and its
 * other functions are gone.
 */
export function emptyShader(code: string): string {
  const plain = code.replace(/\/\/[^\n]*|\/\*[^]*?\*\//g, '')
  const uses = Array.from(plain.matchAll(binding), ([, name]) => `_ = &${name};`).join(' ')
  let result = ''
  let end = 0
  for (const match of plain.matchAll(functionHead)) {
    if (match.index < end) continue
    const open = plain.indexOf('{', match.index)
    const close = findClosing(plain, open)
    result += plain.slice(end, match.index)
    if (match[1]!.includes('@compute')) result += `${plain.slice(match.index, open)}{ ${uses} }`
    end = close + 1
  }
  return result + plain.slice(end)
}

function findClosing(code: string, open: number): number {
  let depth = 0
  for (let index = open; index < code.length; index++) {
    if (code[index] === '{') depth += 1
    if (code[index] === '}' && (depth -= 1) === 0) return index
  }
  throw new Error('The shader has an open brace.')
}
