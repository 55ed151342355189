import { describeSchema } from '../grammar/describe-schema.js'
import { pruneGrammar, type GrammarRules } from '../grammar/grammar-node.js'
import { parseGrammar } from '../grammar/parse-grammar.js'
import { parsePattern } from '../grammar/parse-pattern.js'
import type { TagFormat, TaggedFormat } from '../grammar/tag-format.js'
import { UnsupportedForm } from '../grammar/unsupported-form.js'
import { addRules } from './add-rules.js'
import {
  anyCharacter,
  GrammarBuilder,
  oneOf,
  refer,
  spell,
  type Alternative,
  type Grammar,
} from './grammar.js'
import { isLeftRecursive } from './left-recursion.js'

/** The largest number of rules. */
const maxRules = 20_000

/** Writes a form as one grammar. @throws UnsupportedForm for a form that llama.cpp cannot hold */
export function composeGrammar(form: TagFormat): Grammar {
  const builder = new GrammarBuilder()
  const root = builder.add()
  builder.set(root, [compose(builder, form, [])])
  const grammar = builder.build(root)
  if (grammar.rules.length > maxRules) throw new UnsupportedForm('It is too large.')
  if (isLeftRecursive(grammar)) {
    throw new UnsupportedForm('A part of it starts with itself, which llama.cpp cannot hold.')
  }
  return grammar
}

/**
 * Returns the elements of a form.
 * @param ends texts that free text in the form cannot contain, because they end the tag around it
 */
function compose(builder: GrammarBuilder, form: TagFormat, ends: readonly string[]): Alternative {
  switch (form.type) {
    case 'const_string':
      return spell(form.value)
    case 'grammar':
      return [addRules(builder, parseGrammar(form.grammar))]
    case 'json_schema':
      return [addRules(builder, describeSchema(form.json_schema))]
    case 'regex':
      return [addRules(builder, describePattern(form.pattern))]
    case 'any_text':
      return [refer(addFreeText(builder, ends, []))]
    case 'sequence':
      return form.elements.flatMap((each) => compose(builder, each, ends))
    case 'or':
      return [refer(builder.add(form.elements.map((each) => compose(builder, each, ends))))]
    case 'tag':
      return composeTag(builder, form)
    case 'triggered_tags':
      return composeTriggered(builder, form, ends)
    case 'tags_with_separator':
      return composeSeparated(builder, form)
    case 'qwen_xml_parameter':
      throw new UnsupportedForm('llama.cpp has no grammar for parameters in XML.')
  }
}

/** Returns the grammar of the texts that the whole pattern matches. */
function describePattern(pattern: string): GrammarRules {
  const rules = pruneGrammar(new Map([['root', parsePattern(pattern, true)]]))
  if (rules) return rules
  throw new UnsupportedForm('The pattern matches no text.')
}

function composeTag(builder: GrammarBuilder, { begin, content, end }: TaggedFormat): Alternative {
  return [...spell(begin), ...compose(builder, content, end === '' ? [] : [end]), ...spell(end)]
}

/** Free text in which triggers start tags. With `at_least_one`, a tag comes first. */
function composeTriggered(
  builder: GrammarBuilder,
  { triggers, tags, at_least_one, stop_after_first }: TagFormat & { readonly type: 'triggered_tags' },
  ends: readonly string[],
): Alternative {
  const first = tags.map((tag) => composeTag(builder, tag))
  if (stop_after_first && at_least_one) return [refer(builder.add(first))]
  const text = builder.add()
  const after = stop_after_first ? [] : [refer(text)]
  const starts = triggers.map((trigger) => ({
    text: trigger,
    // The trigger is written already.
    rest: tags
      .filter(({ begin }) => begin.startsWith(trigger))
      .map((tag) => composeTag(builder, { ...tag, begin: tag.begin.slice(trigger.length) }).concat(after)),
  }))
  builder.set(text, [[refer(addFreeText(builder, ends, starts))]])
  return at_least_one ? [refer(builder.add(first)), refer(text)] : [refer(text)]
}

function composeSeparated(
  builder: GrammarBuilder,
  { tags, separator, at_least_one, stop_after_first }: TagFormat & { readonly type: 'tags_with_separator' },
): Alternative {
  const tag = refer(builder.add(tags.map((each) => composeTag(builder, each))))
  const more = builder.add()
  builder.set(more, [[...spell(separator), tag, refer(more)], []])
  const list = stop_after_first ? [tag] : [tag, refer(more)]
  return at_least_one ? list : [refer(builder.add([list, []]))]
}

/** What follows a text that free text can contain. */
interface Start {
  readonly text: string
  readonly rest: readonly Alternative[]
}

/**
 * Adds the rules of free text that contains none of `ends`, and in which each of `starts` is followed by one of its
 * alternatives. The rules are the states of the automaton that finds several texts at once (Aho and Corasick 1975,
 * doi:10.1145/360825.360855): a state is what the text so far and the start of a searched text have in common.
 * @returns the rule of the state before any text
 */
function addFreeText(builder: GrammarBuilder, ends: readonly string[], starts: readonly Start[]): number {
  const searched = [...ends, ...starts.map(({ text }) => text)].map((text) => Array.from(text))
  if (searched.length === 0) {
    const rest = builder.add()
    builder.set(rest, [[anyCharacter, refer(rest)], []])
    return rest
  }
  const states = new Map<string, number>()
  const prefixes = new Set(
    searched.flatMap((text) => text.map((_, length) => text.slice(0, length).join(''))),
  )
  for (const prefix of prefixes) states.set(prefix, builder.add())
  const characters = [...new Set(searched.flat())]

  for (const [prefix, state] of states) {
    const next = characters.flatMap((character): Alternative[] => {
      const text = prefix + character
      if (ends.some((end) => text.endsWith(end))) return []
      const start = starts.find((each) => text.endsWith(each.text))
      const letter = spell(character)
      if (start) return start.rest.map((alternative) => letter.concat(alternative))
      return [[...letter, refer(findState(states, text))]]
    })
    const other = oneOf(
      characters.map((character) => [character.codePointAt(0)!, character.codePointAt(0)!] as const),
      true,
    )
    builder.set(state, [...next, [other, refer(states.get('')!)], []])
  }
  return states.get('')!
}

/** Returns the state of the longest end of a text that is the start of a searched text. */
function findState(states: ReadonlyMap<string, number>, text: string): number {
  const characters = Array.from(text)
  const from = characters.findIndex((_, index) => states.has(characters.slice(index).join('')))
  return states.get(from === -1 ? '' : characters.slice(from).join(''))!
}
