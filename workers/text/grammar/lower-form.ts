import { pruneGrammar, writeGrammar } from './grammar-node.js'
import { parsePattern } from './parse-pattern.js'
import type { TagFormat, TaggedFormat } from './tag-format.js'
import { UnsupportedForm } from './unsupported-form.js'
import { writeSchemaGrammar } from './write-schema-grammar.js'

/**
 * Replaces JSON schemas and patterns by grammars, so that every engine holds exactly the same texts.
 * @throws UnsupportedForm
 */
export function lowerForm(form: TagFormat): TagFormat {
  switch (form.type) {
    case 'json_schema':
      return { type: 'grammar', grammar: writeSchemaGrammar(form.json_schema) }
    case 'regex':
      return { type: 'grammar', grammar: writePatternGrammar(form.pattern) }
    case 'sequence':
    case 'or':
      return { ...form, elements: form.elements.map(lowerForm) }
    case 'tag':
      return lowerTag(form)
    case 'triggered_tags':
    case 'tags_with_separator':
      return { ...form, tags: form.tags.map(lowerTag) }
    case 'grammar':
    case 'any_text':
    case 'const_string':
    case 'qwen_xml_parameter':
      return form
  }
}

function lowerTag(tag: TaggedFormat): TaggedFormat {
  return { ...tag, content: lowerForm(tag.content) }
}

/** Writes the grammar of the texts that the whole pattern matches. @throws UnsupportedForm */
export function writePatternGrammar(pattern: string): string {
  const rules = pruneGrammar(new Map([['root', parsePattern(pattern, true)]]))
  if (!rules) throw new UnsupportedForm('The pattern matches no text.')
  return writeGrammar(rules)
}
