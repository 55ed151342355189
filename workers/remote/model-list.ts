import { isObject, type Json } from './server-failure.js'

/** What a server's list of models says about a model. It is only a hint: the server decides about each request. */
export interface ListedModel {
  /** True if the list has the model, perhaps under a longer or shorter name. */
  readonly isListed: boolean
  /** The names of the server's models, at most 10. */
  readonly names: readonly string[]
  /** The model's context length in tokens, if the list has it. */
  readonly contextLength: number | undefined
  readonly ownedBy: string | undefined
}

const maxNames = 10

/**
 * Reads a list of models: OpenAI's `{ data: […] }`, or the array alone (Together).
 * @param listing the server's answer; undefined if it has no list
 */
export function readModelList(listing: unknown, model: string): ListedModel {
  const list: unknown = isObject(listing) ? listing.data : listing
  const models = (Array.isArray(list) ? list : []).filter(isObject)
  const nameOf = ({ id, name }: Json) => String(id ?? name)
  const found =
    models.find((each) => nameOf(each) === model) ??
    models.find((each) => simplify(nameOf(each)) === simplify(model)) ??
    models.find((each) => simplify(nameOf(each)) === simplify(model).replace(/:[^:/]*$/, ''))
  const owner = (found ?? models[0])?.owned_by
  return {
    isListed: found !== undefined,
    names: models.slice(0, maxNames).map(nameOf),
    contextLength: found && readContextLength(found),
    ownedBy: typeof owner === 'string' ? owner : undefined,
  }
}

/** Removes what a name may have or not: Ollama's `:latest`, Gemini's `models/`. */
function simplify(name: string): string {
  return name.replace(/^models\//, '').replace(/:latest$/, '')
}

/**
 * Returns a model's context length under the names of vLLM, llama.cpp, OpenRouter and Together, Groq, Mistral, LM Studio.
 * llama.cpp's `n_ctx_train` is not it: a server can run a model with a shorter context.
 */
function readContextLength({ meta, ...model }: Json): number | undefined {
  const nested = isObject(meta) ? meta : {}
  return [
    model.max_model_len,
    nested.n_ctx,
    model.loaded_context_length,
    model.context_length,
    model.context_window,
    model.max_context_length,
  ].find((length): length is number => Number.isSafeInteger(length) && Number(length) > 0)
}
