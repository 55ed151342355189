/**
 * The form of a text, as data: what the model may write. The names and fields are those of XGrammar's structural tags
 * (https://xgrammar.mlc.ai/docs/tutorials/structural_tag), so that any engine that knows them can hold the form.
 */
export type TagFormat =
  | { readonly type: 'any_text' }
  | { readonly type: 'const_string'; readonly value: string }
  /** A JSON value that is valid by the schema, as `describeSchema` writes it. */
  | { readonly type: 'json_schema'; readonly json_schema: boolean | Readonly<Record<string, unknown>> }
  /** A text that the whole JavaScript pattern matches. */
  | { readonly type: 'regex'; readonly pattern: string }
  /** A text of the rule `root`, in GBNF. */
  | { readonly type: 'grammar'; readonly grammar: string }
  /** Parameters in the XML of Qwen3-Coder: `<parameter=name>value</parameter>`. */
  | { readonly type: 'qwen_xml_parameter'; readonly json_schema: Readonly<Record<string, unknown>> }
  | { readonly type: 'sequence'; readonly elements: readonly TagFormat[] }
  | { readonly type: 'or'; readonly elements: readonly TagFormat[] }
  | TaggedFormat
  /** Free text. Each time it contains one of `triggers`, one of `tags` follows, which starts with the trigger. */
  | {
      readonly type: 'triggered_tags'
      readonly triggers: readonly string[]
      readonly tags: readonly TaggedFormat[]
      readonly at_least_one?: boolean
      readonly stop_after_first?: boolean
    }
  | {
      readonly type: 'tags_with_separator'
      readonly tags: readonly TaggedFormat[]
      readonly separator: string
      readonly at_least_one?: boolean
      readonly stop_after_first?: boolean
    }

export interface TaggedFormat {
  readonly type: 'tag'
  readonly begin: string
  readonly content: TagFormat
  readonly end: string
}
