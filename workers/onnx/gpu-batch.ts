import type { InferenceSession } from 'onnxruntime-web'
import {
  createBatchBuffers,
  createBatch,
  writeGroups,
  writeLengths,
  type BatchBuffers,
  type GpuBatch,
  type RecordedBatch,
} from './batch-steps.js'
import { probeSteps, type BatchProbe } from './batch-probes.js'
import { clearBuffers } from './check-steps.js'
import type { CapturedStep } from './dispatch-recorder.js'
import { createStorage } from './fixed-cache.js'
import { fuseBatch, type FusedBatch } from './fuse-dispatches.js'
import type { GpuModel } from './gpu-model.js'
import { captureStep, submitDispatches, type SharedSteps } from './gpu-steps.js'
import { graphInputs, logitsOutput } from './graph-names.js'
import { countElementBytes, countTokenBytes, shapeCache } from './state-schema.js'
import { measureDifference, stepTolerances } from './step-check.js'
import { readLogits, type StepTensors } from './step-tensors.js'

/** The capacity of the cache in a capture. Only attention depends on it, and attention is replaced. */
const captureCapacity = 64

/** A run of several conversations failed. ONNX Runtime 1.30.0 on WebGPU then traps in every later run of the session. */
export class FailedBatchError extends Error {
  override name = 'FailedBatchError'
}

/**
 * Records the steps of a batch, and tests them.
 * @param maxRows the largest number of conversations that decode at the same time
 * @param stepInputs the inputs of a step of one conversation
 * @param alone the recorded step of one conversation
 * @param probes a conversation for each row, with which each recorded step is tested
 * @returns undefined if steps cannot be computed together: the result of a row depends on other rows of its run (`PrefillRules`),
 *   the graph has states of fixed size, attention is not fused in every layer, the logits differ from those of `probes`,
 *   or an error is thrown
 * @throws FailedBatchError
 */
export async function openGpuBatch(
  model: GpuModel,
  shared: SharedSteps,
  maxRows: number,
  stepInputs: StepTensors['inputs'],
  alone: CapturedStep,
  probes: readonly BatchProbe[],
): Promise<GpuBatch | undefined> {
  if (!canBatch(model)) return undefined
  const { device } = model
  const buffers = createBatchBuffers(model, maxRows)
  const recordings: RecordedBatch[] = []
  let failure: unknown
  device.pushErrorScope('validation')
  try {
    for (const rows of chooseSizes(maxRows)) {
      const fused = await record(model, shared, buffers, rows, stepInputs, alone)
      if (!fused) break
      recordings.push({ rows, fused })
      if (await isCorrect(model, buffers, { rows, fused }, probes)) continue
      recordings.pop()
      fused.destroy()
      break
    }
  } catch (error) {
    failure = error
  }
  const invalid = await device.popErrorScope()
  if (failure === undefined && invalid === null && recordings.length > 0)
    return createBatch(model, buffers, recordings)
  for (const { fused } of recordings) fused.destroy()
  buffers.destroy()
  if (failure instanceof FailedBatchError) throw failure
  return undefined
}

function canBatch(model: GpuModel): boolean {
  const { caches, attentions, fixedStates, positionRows, prefillRules, vocabulary, logitsType } = model
  return (
    // The attention of every layer, which has a cache of keys and one of values, may be fused.
    caches.length === 2 * attentions.length &&
    fixedStates.length === 0 &&
    positionRows === undefined &&
    !prefillRules.wholePrompt &&
    prefillRules.rotarySwitch === Infinity &&
    // WebGPU copies only from multiples of four bytes.
    (vocabulary * countElementBytes(logitsType)) % 4 === 0
  )
}

/** Returns the numbers of conversations for which a step is recorded. A smaller number uses the next larger step. */
function chooseSizes(maxRows: number): readonly number[] {
  return [2, 4, 8, 16].filter((rows) => rows < maxRows).concat(maxRows)
}

/** Records a step of `rows` conversations. Its capture has a cache of its own, which no conversation uses. */
async function record(
  model: GpuModel,
  shared: SharedSteps,
  buffers: BatchBuffers,
  rows: number,
  stepInputs: StepTensors['inputs'],
  alone: CapturedStep,
): Promise<FusedBatch | undefined> {
  const { device, session, caches, attentions, vocabulary, logitsType } = model
  const { Tensor } = model.runtime
  const cacheBuffers = caches.map((input) =>
    createStorage(device, rows * captureCapacity * input.heads * countTokenBytes(input)),
  )
  const cacheTensors = caches.map((input, index) => {
    const [, ...dims] = shapeCache(input, captureCapacity)
    return Tensor.fromGpuBuffer(cacheBuffers[index]!, { dataType: input.type, dims: [rows, ...dims] })
  })
  const inputs: StepTensors['inputs'] = {
    [graphInputs.tokenIds]: Tensor.fromGpuBuffer(buffers.tokenIds, { dataType: 'int64', dims: [rows, 1] }),
    [graphInputs.positionIds]: Tensor.fromGpuBuffer(buffers.positions, {
      dataType: 'int64',
      dims: [rows, 1],
    }),
    [graphInputs.lastIndex]: Tensor.fromGpuBuffer(buffers.lastIndex, { dataType: 'int32', dims: [rows, 1] }),
    [graphInputs.totalLength]: Tensor.fromGpuBuffer(buffers.total, { dataType: 'int32', dims: [1] }),
  }
  const feeds = Object.fromEntries(
    Object.entries(stepInputs).map(([name, tensor]) => [name, inputs[name] ?? tensor]),
  )
  const pasts = Object.fromEntries(caches.map(({ past }, index) => [past, cacheTensors[index]!]))
  const fetches = {
    [logitsOutput]: Tensor.fromGpuBuffer(buffers.logits, {
      dataType: logitsType,
      dims: [rows, 1, vocabulary],
    }),
    ...Object.fromEntries(caches.map(({ present }, index) => [present, cacheTensors[index]!])),
  }
  writeLengths(model, buffers, Array<number>(rows).fill(2))
  const run = (options: InferenceSession.RunOptions) =>
    session.run({ ...feeds, ...pasts }, fetches, options).catch((error: unknown): never => {
      throw new FailedBatchError('ONNX Runtime could not compute a batch.', { cause: error })
    })
  try {
    const step = await captureStep(device, shared, run)
    const layers = { attentions, caches, buffers: cacheBuffers }
    return step && (await fuseBatch(device, step, rows, alone, layers, shared.pipelines))
  } finally {
    for (const buffer of cacheBuffers) buffer.destroy()
  }
}

/**
 * Computes the steps of the probes in all rows of a recorded step, and then the last step again without the last row.
 * @returns true if the logits equal those of the same steps alone
 */
async function isCorrect(
  model: GpuModel,
  buffers: BatchBuffers,
  recording: RecordedBatch,
  probes: readonly BatchProbe[],
): Promise<boolean> {
  const { rows } = recording
  const chosen = probes.slice(0, rows)
  for (const { reset } of chosen) reset()
  for (let step = 0; step < probeSteps; step += 1)
    if (!(await isSameStep(model, buffers, recording, chosen, step))) return false
  return isSameStep(model, buffers, recording, chosen.slice(0, -1), probeSteps - 1)
}

/** @param step the index of the step of each probe */
async function isSameStep(
  model: GpuModel,
  buffers: BatchBuffers,
  { rows, fused }: RecordedBatch,
  probes: readonly BatchProbe[],
  step: number,
): Promise<boolean> {
  const { device, vocabulary, logitsType } = model
  const ids = probes.map(({ tokenIds }) => BigInt(tokenIds[step]!))
  device.queue.writeBuffer(buffers.tokenIds, 0, BigInt64Array.from(ids))
  const lengths = probes.map(({ length }) => length + step + 1)
  writeLengths(model, buffers, lengths)
  writeGroups(fused, lengths)
  clearBuffers(device, [buffers.logits])
  submitDispatches(device, fused.bind(probes.map(({ cache }) => cache.buffers)))
  const logits = await readLogits(device, buffers.logits, logitsType, rows * vocabulary)
  return probes.every((probe, row) => {
    const actual = new Map([[logitsOutput, logits.subarray(row * vocabulary, (row + 1) * vocabulary)]])
    const difference = measureDifference(actual, new Map([[logitsOutput, probe.logits[step]!]]))
    return difference < stepTolerances[logitsType]
  })
}
