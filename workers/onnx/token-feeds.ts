import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-web'
import { graphInputs } from './graph-names.js'
import { createPositions } from './state-schema.js'

/** Creates the inputs of a run for new tokens. */
type CreateTokenFeeds = (newIds: readonly number[], cachedTokens: number) => Record<string, Tensor>

/**
 * Returns a function that creates the inputs of a run, except the states: those of `graphInputs` that the graph declares.
 * @param positionRows as in `StateSchema`
 */
export function prepareTokenFeeds(
  Tensor: TensorConstructor,
  session: InferenceSession,
  positionRows: number | undefined,
): CreateTokenFeeds {
  const inputNames = new Set(session.inputNames)
  const createInt64 = (values: readonly number[], dims: readonly number[]) =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), dims)
  const createInt32 = (value: number, dims: readonly number[]) =>
    new Tensor('int32', Int32Array.of(value), dims)

  return (newIds, cachedTokens) => {
    const total = cachedTokens + newIds.length
    const all: Record<string, () => Tensor> = {
      [graphInputs.tokenIds]: () => createInt64(newIds, [1, newIds.length]),
      [graphInputs.attentionMask]: () =>
        createInt64(
          Array.from({ length: total }, () => 1),
          [1, total],
        ),
      [graphInputs.positionIds]: () =>
        new Tensor('int64', ...createPositions(positionRows, cachedTokens, newIds.length)),
      [graphInputs.logitsToKeep]: () => createInt64([1], []),
      [graphInputs.lastIndex]: () => createInt32(total - 1, [1, 1]),
      [graphInputs.totalLength]: () => createInt32(total, [1]),
    }
    const wanted = Object.entries(all).filter(([name]) => inputNames.has(name))
    return Object.fromEntries(wanted.map(([name, create]) => [name, create()]))
  }
}
