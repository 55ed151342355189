import { RivuletError } from '../../lib/contract/errors.js'
import type { WebLlmLoadOptions, WebLlmModelRecord } from '../../lib/contract/web-llm-options.js'
import type { AppConfig } from './runtime.js'

/** web-llm's `ModelType.embedding`. */
const embeddingType = 1
const maxNamedModels = 3

/**
 * Finds a model's record by its id.
 * @throws RivuletError `model-not-found`, with similar ids; `model-unsupported` for an embedding model
 */
export function findModel(
  { model, modelRecords, cache }: WebLlmLoadOptions,
  prebuilt: AppConfig,
): { readonly record: WebLlmModelRecord; readonly appConfig: AppConfig } {
  const records = [...modelRecords, ...prebuilt.model_list]
  const record = records.find(({ model_id }) => model_id === model)
  if (!record) {
    const near = findSimilar(
      model,
      records.map(({ model_id }) => model_id),
    )
    throw new RivuletError(
      'model-not-found',
      `web-llm has no model "${model}".${near.length > 0 ? ` Similar ids: ${near.join(', ')}.` : ''} Use one of web-llm's ids, or add a record to "modelRecords".`,
    )
  }
  if (record.model_type === embeddingType) {
    throw new RivuletError(
      'model-unsupported',
      `"${model}" is an embedding model and cannot generate text. Use a language model.`,
    )
  }
  return { record, appConfig: { ...prebuilt, ...(cache && { cacheBackend: cache }), model_list: records } }
}

/** Returns the ids that share the most words with `model`. */
function findSimilar(model: string, ids: readonly string[]): readonly string[] {
  const words = splitWords(model)
  return ids
    .map((id) => ({ id, shared: [...splitWords(id)].filter((word) => words.has(word)).length }))
    .filter(({ shared }) => shared > 0)
    .toSorted((a, b) => b.shared - a.shared)
    .slice(0, maxNamedModels)
    .map(({ id }) => id)
}

/** Splits an id into lowercase words. Leaves out `MLC`, which ends nearly all ids. */
function splitWords(id: string): ReadonlySet<string> {
  return new Set(
    id
      .toLowerCase()
      .split(/[^a-z0-9]+/)
      .filter((word) => word !== '' && word !== 'mlc'),
  )
}

/** Reads the quantization from an MLC model's id, such as `q4f16_1`. */
export function readDtype(modelId: string): string | undefined {
  return /(?:^|-)(q\d+f\d+(?:_\d+)?)(?:-|$)/.exec(modelId)?.[1]
}
