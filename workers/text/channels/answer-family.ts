/** The marks that a model family writes around a thought. */
export interface ThoughtMarks {
  readonly open: string
  readonly close: string
  /** A word that the family writes after `open`, as Gemma 4's `thought`. It is not part of the reasoning. */
  readonly label?: string
  /** The marks that some families write around the answer that follows a thought. */
  readonly answer?: { readonly open: string; readonly close: string }
}

/** How a model family writes one tool call between `open` and `close`. */
export type CallSyntax =
  /** An object with the fields `name` and `argumentsKey`. */
  | { readonly kind: 'json'; readonly nameKey: string; readonly argumentsKey: string }
  /** A list of such objects: the calls of one answer have one pair of marks. */
  | { readonly kind: 'json-list'; readonly nameKey: string; readonly argumentsKey: string }
  /** `before`, the name, `after`, and the arguments as JSON, then `end`. `marks` are the tokens in and between them. */
  | {
      readonly kind: 'named'
      readonly before: string
      readonly after: string
      readonly end: string
      readonly marks: readonly string[]
    }
  /** One element for each argument. */
  | ({ readonly kind: 'elements' } & ElementMarks)
  /** Python calls with keyword arguments, in a list: `[f(a=1), g()]`, or without the brackets. */
  | { readonly kind: 'python'; readonly isList: boolean }
  /** `call:f{a:1}`, where the token `quote` encloses texts. */
  | { readonly kind: 'quoted'; readonly quote: string }

/** The texts of a call that writes one element for each argument. */
export interface ElementMarks {
  /** Before the name; can be empty. */
  readonly open: string
  readonly nameEnd: string
  readonly keyOpen: string
  readonly keyEnd: string
  /** Between key and value, if they have elements of their own. */
  readonly valueOpen: string
  readonly valueEnd: string
  /** After the arguments; can be empty. */
  readonly end: string
  /** True if a line break before and after a value belongs to the marks. */
  readonly hasValueLines: boolean
}

/** The marks of a model family's tool calls. */
export interface CallMarks {
  /** The mark before a call; empty if a call is the start of an answer. */
  readonly open: string
  /** The mark after a call; empty if the call's own end is the end. */
  readonly close: string
  /** White space of the family's template between `open`, the call and `close`. */
  readonly padding: string
  readonly syntax: CallSyntax
  /** Marks around all calls of an answer. */
  readonly section?: { readonly open: string; readonly close: string }
  /** Another mark that the models of the family write before a call, as Llama's `<|python_tag|>`. */
  readonly otherOpen?: string
}

/** How a model family writes the channels of an answer. */
export type AnswerFamily =
  | {
      readonly kind: 'marked'
      readonly thought: ThoughtMarks | undefined
      /** Undefined if the template has no tools, or calls them in an unknown way. */
      readonly calls: CallMarks | undefined
    }
  /** gpt-oss: an answer consists of messages, and each message names its channel. https://cookbook.openai.com/articles/openai-harmony */
  | { readonly kind: 'harmony'; readonly hasTools: boolean }

/** The family of models without reasoning and tools. */
export const plainFamily: AnswerFamily = { kind: 'marked', thought: undefined, calls: undefined }

/** The control tokens of gpt-oss's answers. */
export const harmony = {
  start: '<|start|>',
  channel: '<|channel|>',
  constrain: '<|constrain|>',
  message: '<|message|>',
  end: '<|end|>',
  call: '<|call|>',
  return: '<|return|>',
} as const

/** Returns all marks of a family: the texts that are not part of a channel. */
export function listMarks(family: AnswerFamily): readonly string[] {
  if (family.kind === 'harmony') return Object.values(harmony)
  const { thought, calls } = family
  const marks = [
    thought?.open,
    thought?.close,
    thought?.answer?.open,
    thought?.answer?.close,
    calls?.open,
    calls?.otherOpen,
    calls?.close,
    calls?.section?.open,
    calls?.section?.close,
    ...(calls ? listSyntaxMarks(calls.syntax) : []),
  ]
  return [...new Set(marks.filter((mark): mark is string => mark !== undefined && mark !== ''))]
}

function listSyntaxMarks(syntax: CallSyntax): readonly string[] {
  if (syntax.kind === 'named') return syntax.marks
  if (syntax.kind === 'quoted') return [syntax.quote]
  if (syntax.kind !== 'elements') return []
  return [syntax.open, syntax.keyOpen, syntax.valueOpen, syntax.valueEnd, syntax.end]
}
