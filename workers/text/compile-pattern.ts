import { SplitPreTokenizer } from '@huggingface/tokenizers'

/** A pattern in `tokenizer.json`: a plain text, or a regular expression in Oniguruma's syntax. */
export type Pattern = { readonly String: string } | { readonly Regex: string }

/** Compiles a pattern to a global regular expression. @throws Error, SyntaxError if it is not supported */
export function compilePattern(pattern: Pattern): RegExp {
  const config = { type: 'Split', pattern, behavior: 'Isolated', invert: false } as const
  const { pattern: compiled } = new SplitPreTokenizer(config)
  if (compiled) return compiled
  throw new Error(`the pattern ${JSON.stringify(pattern)} is not supported.`)
}
