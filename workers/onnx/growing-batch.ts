import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-web'
import { copyHeads, type Cache, type Row } from './cache-rows.js'
import { graphInputs, logitsOutput } from './graph-names.js'
import type { PrefillRules } from './prefill-rules.js'
import { readLogits, readOutput } from './read-outputs.js'
import { countElements, shapeCache, type StateSchema } from './state-schema.js'

/** Computes one decode step of several conversations in one run, on the CPU. */
export interface GrowingBatch {
  /**
   * Computes the pending token of each row.
   * @returns the cache after the step, in the order of the rows, and the logits, [rows, vocabulary]
   */
  run(rows: readonly Row[]): Promise<{ readonly cache: Cache; readonly logits: Float32Array }>
}

/**
 * Opens the batches of a graph. Attention reads the length of each row from an input, so rows can have different lengths.
 * @returns undefined if rows cannot be computed together: the graph computes its lengths itself, has states of fixed size, or
 *   the result of a row depends on the other rows of its run (`PrefillRules`)
 */
export function openBatch(
  Tensor: TensorConstructor,
  session: InferenceSession,
  { caches, fixedStates, positionRows }: StateSchema,
  { wholePrompt, rotarySwitch }: PrefillRules,
): GrowingBatch | undefined {
  const names = new Set(session.inputNames)
  const known = new Set<string>([...caches.map(({ past }) => past), ...batchInputs])
  const canBatch =
    names.has(graphInputs.lastIndex) &&
    session.inputNames.every((name) => known.has(name)) &&
    fixedStates.length === 0 &&
    positionRows === undefined &&
    !wholePrompt &&
    rotarySwitch === Infinity
  if (!canBatch) return undefined

  function createFeeds(rows: readonly Row[]): Record<string, Tensor> {
    const lengths = rows.map(({ ids }) => ids.length)
    const int64 = (values: readonly number[]) =>
      new Tensor('int64', BigInt64Array.from(values, BigInt), [rows.length, 1])
    const all: Record<(typeof batchInputs)[number], Tensor> = {
      [graphInputs.tokenIds]: int64(rows.map(({ pending }) => pending!)),
      [graphInputs.positionIds]: int64(lengths),
      [graphInputs.lastIndex]: new Tensor('int32', Int32Array.from(lengths), [rows.length, 1]),
      [graphInputs.totalLength]: new Tensor('int32', Int32Array.of(Math.max(...lengths) + 1), [1]),
    }
    return Object.fromEntries(Object.entries(all).filter(([name]) => names.has(name)))
  }

  /** Returns the cache of the last step if it had the same rows, and otherwise a copy of their caches. */
  function gather(rows: readonly Row[]): Cache {
    const [first] = rows
    const isKept = rows.every(({ cache, index }, place) => cache === first?.cache && index === place)
    if (first && isKept && [...first.cache.values()][0]?.dims[0] === rows.length) return first.cache
    const length = Math.max(...rows.map(({ ids }) => ids.length))
    return new Map(
      caches.map((input) => {
        const [, ...dims] = shapeCache(input, length)
        const shape = [rows.length, ...dims]
        const size = countElements(shape)
        const data = input.type === 'float16' ? new Uint16Array(size) : new Float32Array(size)
        const tensor = new Tensor(input.type, data, shape)
        for (const [index, row] of rows.entries()) {
          const from = { tensor: row.cache.get(input.past)!, index: row.index }
          copyHeads(input, from, { tensor, index }, row.ids.length)
        }
        return [input.past, tensor]
      }),
    )
  }

  return {
    async run(rows) {
      const outputs = await session.run({ ...createFeeds(rows), ...Object.fromEntries(gather(rows)) })
      const cache = new Map(caches.map(({ past, present }) => [past, readOutput(outputs, present)]))
      return { cache, logits: await readLogits(readOutput(outputs, logitsOutput)) }
    },
  }
}

/** The inputs of a batch, other than its caches. */
const batchInputs = [
  graphInputs.tokenIds,
  graphInputs.positionIds,
  graphInputs.lastIndex,
  graphInputs.totalLength,
] as const
