import type { PromptPart } from '../chat-template.js'
import type { Tokenizer } from '../tokenizer.js'
import {
  intersectRanges,
  invertRanges,
  type GrammarNode,
  type GrammarRules,
  type Ranges,
} from './grammar-node.js'
import type { TagFormat, TaggedFormat } from './tag-format.js'

/**
 * Stands for the control tokens of a form. A grammar engine knows only texts, and the text of a control token can also be
 * written by other tokens, or be a part of a value. So each control token has a character of its own in the form, which no
 * value of the form can contain.
 */
export interface MarkCodes {
  /** Token id → the character. */
  readonly characters: ReadonlyMap<number, string>
  /** Replaces the control tokens that the form itself writes. The contents of schemas, patterns and grammars stay. */
  encodeForm(form: TagFormat): TagFormat
  /** Returns the parts of an answer as one text. Only parts of the template contain control tokens. */
  encodeParts(parts: readonly PromptPart[]): string
  /** Splits a text at the characters of control tokens. @returns texts, and the ids of control tokens */
  split(text: string): readonly (string | number)[]
}

/** The last 32 code points, which are for private use, or no characters at all (Unicode 17, section 23.5 and 23.7). */
const firstCode = 0x10ffe0
const lastCode = 0x10ffff
const codes: Ranges = [[firstCode, lastCode]]
const others = invertRanges(codes)

/** @param marks the texts of the control tokens that the form contains; a text that is no control token stays as it is */
export function createMarkCodes(
  marks: readonly string[],
  tokenizer: Pick<Tokenizer, 'findId' | 'readControlText'>,
): MarkCodes {
  const known = marks.flatMap((mark) => {
    const id = tokenizer.findId(mark)
    return id === undefined || tokenizer.readControlText(id) === undefined ? [] : [{ mark, id }]
  })
  // A mark can be the start of another one.
  const controls = known
    .toSorted((a, b) => b.mark.length - a.mark.length)
    .slice(0, lastCode - firstCode + 1)
    .map(({ mark, id }, index) => ({ mark, id, character: String.fromCodePoint(firstCode + index) }))
  const encode = (text: string) =>
    controls.reduce((rest, { mark, character }) => rest.replaceAll(mark, () => character), text)
  const ids = new Map(controls.map(({ character, id }) => [character, id]))

  const encodeTag = ({ begin, content, end, ...tag }: TaggedFormat): TaggedFormat => ({
    ...tag,
    begin: encode(begin),
    content: encodeForm(content),
    end: encode(end),
  })
  function encodeForm(form: TagFormat): TagFormat {
    switch (form.type) {
      case 'const_string':
        return { ...form, value: encode(form.value) }
      case 'sequence':
      case 'or':
        return { ...form, elements: form.elements.map(encodeForm) }
      case 'tag':
        return encodeTag(form)
      case 'triggered_tags':
        return { ...form, triggers: form.triggers.map(encode), tags: form.tags.map(encodeTag) }
      case 'tags_with_separator':
        return { ...form, separator: encode(form.separator), tags: form.tags.map(encodeTag) }
      default:
        return form
    }
  }

  return {
    characters: new Map(controls.map(({ id, character }) => [id, character])),
    encodeForm,
    encodeParts: (parts) => parts.map(({ text, isContent }) => (isContent ? text : encode(text))).join(''),
    split: (text) =>
      text.split(/([\u{10ffe0}-\u{10ffff}])/u).flatMap((part): readonly (string | number)[] => {
        const id = ids.get(part)
        return id !== undefined ? [id] : part === '' ? [] : [part]
      }),
  }
}

/** Removes the characters of control tokens from the sets of a grammar. */
export function excludeMarkCodes(rules: GrammarRules): GrammarRules {
  return new Map(Array.from(rules, ([name, node]) => [name, exclude(node)]))
}

function exclude(node: GrammarNode): GrammarNode {
  switch (node.kind) {
    case 'set':
      return { ...node, ranges: intersectRanges(node.ranges, others) }
    case 'sequence':
    case 'choice':
      return { ...node, items: node.items.map(exclude) }
    case 'repeat':
      return { ...node, item: exclude(node.item) }
    default:
      return node
  }
}
