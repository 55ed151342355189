import { RivuletError } from '../../lib/contract/errors.js'
import type { WebLlmLoadOptions, WebLlmModelRecord } from '../../lib/contract/web-llm-options.js'
import type { AppConfig } from './runtime.js'

/** web-llm's `ModelType.embedding`. */
const embeddingType = 1
const maxNamedModels = 3

/** @throws RivuletError `model-not-found`, naming ids that are near; `model-unsupported` for what writes no text */
export function findModel(
  { model, modelRecords, cache }: WebLlmLoadOptions,
  prebuilt: AppConfig,
): { readonly record: WebLlmModelRecord; readonly appConfig: AppConfig } {
  const records = [...modelRecords, ...prebuilt.model_list]
  const record = records.find(({ model_id }) => model_id === model)
  if (!record) {
    const near = findNear(
      model,
      records.map(({ model_id }) => model_id),
    )
    throw new RivuletError(
      'model-not-found',
      `web-llm has no model "${model}"${near.length > 0 ? `; near to it: ${near.join(', ')}` : ''}. Give one of its ids, or a record in "modelRecords".`,
    )
  }
  if (record.model_type === embeddingType) {
    throw new RivuletError('model-unsupported', `"${model}" is an embedding model: it writes no text.`)
  }
  return { record, appConfig: { ...prebuilt, ...(cache && { cacheBackend: cache }), model_list: records } }
}

/** Those that share the most words with `model`. */
function findNear(model: string, ids: readonly string[]): readonly string[] {
  const words = splitWords(model)
  return ids
    .map((id) => ({ id, shared: [...splitWords(id)].filter((word) => words.has(word)).length }))
    .filter(({ shared }) => shared > 0)
    .toSorted((a, b) => b.shared - a.shared)
    .slice(0, maxNamedModels)
    .map(({ id }) => id)
}

/** `MLC` ends nearly all of them. */
function splitWords(id: string): ReadonlySet<string> {
  return new Set(
    id
      .toLowerCase()
      .split(/[^a-z0-9]+/)
      .filter((word) => word !== '' && word !== 'mlc'),
  )
}

/** The quantisation in an MLC model's id: `q4f16_1`. */
export function readDtype(modelId: string): string | undefined {
  return /(?:^|-)(q\d+f\d+(?:_\d+)?)(?:-|$)/.exec(modelId)?.[1]
}
