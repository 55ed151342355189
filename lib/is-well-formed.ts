/**
 * True if `text` has no lone surrogates, which no tokenizer can encode. `String.prototype.isWellFormed` is newer than the
 * oldest browsers that can run this library.
 */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}
