/** The escapes of one character in Python's string literals (Language Reference, 2.5.1), by the character after `\`. */
export const pythonEscapes: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\u0007',
  "'": "'",
  '"': '"',
  '\\': '\\',
  '\n': '',
}
