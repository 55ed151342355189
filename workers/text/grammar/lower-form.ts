import { measureGrammar, pruneGrammar, writeGrammar, type GrammarRules } from './grammar-node.js'
import { parseGrammar } from './parse-grammar.js'
import { parsePattern } from './parse-pattern.js'
import type { TagFormat, TaggedFormat } from './tag-format.js'
import { UnsupportedForm } from './unsupported-form.js'
import { describeSchema } from './describe-schema.js'

/** The largest size of a grammar: what an engine prepares in a few seconds. */
const maxGrammarSize = 50_000

/**
 * Replaces JSON schemas and patterns by grammars, so that every engine holds exactly the same texts.
 * @param adapt changes the rules for an engine
 * @throws UnsupportedForm
 */
export function lowerForm(
  form: TagFormat,
  adapt: (rules: GrammarRules) => GrammarRules = (rules) => rules,
): TagFormat {
  const lowerGrammar = (rules: GrammarRules): TagFormat => {
    if (measureGrammar(rules) > maxGrammarSize)
      throw new UnsupportedForm(
        'It is too large: its repeats and alternatives, written out, have too many parts.',
      )
    return { type: 'grammar', grammar: writeGrammar(adapt(rules)) }
  }
  const lowerTag = (tag: TaggedFormat): TaggedFormat => ({ ...tag, content: lower(tag.content) })
  const lower = (part: TagFormat): TagFormat => {
    switch (part.type) {
      case 'json_schema':
        return lowerGrammar(describeSchema(part.json_schema))
      case 'regex':
        return lowerGrammar(describePattern(part.pattern))
      case 'grammar':
        return lowerGrammar(parseGrammar(part.grammar))
      case 'sequence':
      case 'or':
        return { ...part, elements: part.elements.map(lower) }
      case 'tag':
        return lowerTag(part)
      case 'triggered_tags':
      case 'tags_with_separator':
        return { ...part, tags: part.tags.map(lowerTag) }
      default:
        return part
    }
  }
  return lower(form)
}

/** Returns the grammar of the texts that the whole pattern matches. @throws UnsupportedForm */
function describePattern(pattern: string): GrammarRules {
  const rules = pruneGrammar(new Map([['root', parsePattern(pattern, true)]]))
  if (rules) return rules
  throw new UnsupportedForm('The pattern matches no text.')
}
