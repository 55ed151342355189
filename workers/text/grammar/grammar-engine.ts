import type { OptionName } from '../../../lib/contract/option-table.js'
import type { TagFormat } from './tag-format.js'

/** Loads the grammar engine of a worker. Its package is loaded only when the first request needs it. */
export type LoadGrammarEngine = (vocabulary: GrammarVocabulary) => Promise<GrammarEngine>

/** The tokens of a model, as a grammar engine reads them. */
export interface GrammarVocabulary {
  /** By id: the bytes that the token adds to a text; undefined for control tokens, which no form contains. */
  readonly tokens: readonly (readonly number[] | undefined)[]
  /** The tokens that end an answer. They are allowed where the form is complete. */
  readonly endIds: ReadonlySet<number>
  /** True if control tokens have the characters of `MarkCodes`, which no value may then contain. */
  readonly hasMarks: boolean
}

/** Compiles forms for the vocabulary of one model. */
export interface GrammarEngine {
  /**
   * Compiles a form, or finds it among the forms that were compiled last.
   * @param option the option that demands the form, for errors
   * @throws RivuletError `invalid-option` if the engine cannot hold the form; `generation-failed` if the engine fails
   */
  compile(form: TagFormat, option: OptionName): Promise<CompiledForm>
}

export interface CompiledForm {
  createMatcher(): Promise<FormMatcher>
}

/** The state of one answer in its form. */
export interface FormMatcher {
  /**
   * Computes which tokens can follow: bit `id % 32` of word `id / 32` is set if the token can follow. An end token can follow
   * where the form is complete.
   */
  computeMask(): Promise<Int32Array>
  /** Adds a token. @returns false if the token cannot follow; the state is then unchanged */
  accept(id: number): boolean
  /** Adds a text. @returns false if the text cannot follow */
  acceptText(text: string): boolean
  /** Removes the last tokens. */
  rollback(tokens: number): void
  /** Returns the text that must follow in any case; empty if there is a choice. */
  findForcedText(): string
  /** True after an end token. */
  readonly isTerminated: boolean
  release(): void
}
