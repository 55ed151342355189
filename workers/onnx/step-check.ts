import { decodeFloat16 } from './float16.js'
import { logitsOutput } from './graph-names.js'
import type { GraphProto } from './onnx_pb.js'
import { countElementBytes, countTokenBytes, type CacheInput } from './state-schema.js'
import { bufferUsage, mapMode } from './webgpu-flags.js'

/*
 * The check of decode steps at load. A step is computed twice after the same artificial KV cache: by the decoder, and by the
 * exported graph in a session without graph capture. The cache is written and not computed, so the check at a length of
 * thousands of tokens costs one step.
 */

/** A run to check: a decode step, or a run of several tokens as in a prompt. */
export interface StepProbe {
  readonly tokenIds: readonly number[]
  /** The number of tokens before `tokenIds`. Their cache is artificial. */
  readonly cachedTokens: number
  /**
   * The number of tokens at the start of the cache whose values are larger than the others. They are before an attention
   * window, so a step that reads them anyway gives a clearly different result.
   */
  readonly loudTokens: number
}

/** The lengths at which a graph or a decoder starts to compute steps in another way. */
interface StepThresholds {
  /** The windows of `GroupQueryAttention`, in tokens. */
  readonly windows: readonly number[]
  /** As in `PrefillRules`. */
  readonly rotarySwitch: number
  /** The initial capacity of the KV cache, in tokens. */
  readonly firstCapacity: number
  readonly contextLength: number
}

/** What a step computes: the name of an output → the values for the last token. */
export type StepResult = ReadonlyMap<string, Float32Array>

/**
 * The largest difference of a correct step (`measureDifference`). In 32-bit floats, correct steps are almost always equal;
 * in 16-bit floats, another kernel for attention rounds differently.
 */
export const stepTolerances = { float32: 0.01, float16: 0.05 } satisfies Record<CacheInput['type'], number>

/** A decoder computes a step differently from the exported graph. */
export class WrongStepError extends Error {
  override name = 'WrongStepError'
}

/** Only the steps with fused attention (`fuseDispatches`) are wrong. */
export class WrongFusionError extends WrongStepError {
  override name = 'WrongFusionError'
}

/** Reads the attention windows of a graph, in tokens. */
export function readWindows({ node }: GraphProto): readonly number[] {
  const windows = node.flatMap(({ attribute }) =>
    attribute.filter(({ name, i }) => name === 'local_window_size' && i > 0n).map(({ i }) => Number(i)),
  )
  return [...new Set(windows)]
}

/** How far past a threshold a step is checked, as a part of the threshold. */
const beyond = 1 / 8

/** The number of tokens in a run that is checked. Not a multiple of a kernel's tile size. */
const runTokens = 20

/**
 * Chooses what to check: decode steps past each attention window, on both sides of the rotary switch, at the end of the
 * initial KV cache, and after the cache has grown; and a run of several tokens past the last window or switch. Leaves out
 * thresholds that the context does not reach.
 */
export function chooseProbes(thresholds: StepThresholds): readonly StepProbe[] {
  const { windows, rotarySwitch, firstCapacity, contextLength } = thresholds
  const goBeyond = (threshold: number) => Math.min(threshold + Math.ceil(threshold * beyond), contextLength)
  const isReached = (threshold: number) => threshold < contextLength
  const full = Math.min(firstCapacity, contextLength)
  const lengths = [
    ...windows.filter(isReached).map(goBeyond),
    ...(isReached(rotarySwitch) ? [rotarySwitch, rotarySwitch + 1] : []),
  ]
  const longest = Math.max(...lengths, Math.min(full, 2 * runTokens))
  lengths.push(full)
  if (isReached(firstCapacity) && longest <= firstCapacity) lengths.push(goBeyond(firstCapacity))

  const createProbe = (length: number, tokens: number) => {
    // The largest window that is passed: attention with a smaller window must not read these tokens, either.
    const window = Math.max(...windows.filter((each) => each < length), 0) || length
    const tokenIds = Array.from({ length: tokens }, (_, index) => index + 1)
    const cachedTokens = length - tokens
    return { tokenIds, cachedTokens, loudTokens: Math.min(length - window, cachedTokens) }
  }
  const steps = [...new Set(lengths)].map((length) => createProbe(length, 1))
  return [...steps, createProbe(longest, Math.min(runTokens, longest - 1))]
}

/** Where the outputs of a step are. */
export interface StepBuffers {
  /** The cache after the step, [heads, capacity, headSize]; undefined if it is not an output of the graph. */
  findCache(input: CacheInput): GPUBuffer | undefined
  readonly capacity: number
  /** The logits, [positions, vocabulary]; undefined if they are not an output of the graph. */
  readonly logits:
    | {
        readonly buffer: GPUBuffer
        readonly type: CacheInput['type']
        readonly positions: number
        readonly vocabulary: number
      }
    | undefined
}

/** Reads back what a run has computed for the token at `index`, which is its last token. */
export async function readStep(
  device: GPUDevice,
  caches: readonly CacheInput[],
  index: number,
  { findCache, capacity, logits }: StepBuffers,
): Promise<StepResult> {
  const parts: {
    name: string
    type: CacheInput['type']
    buffer: GPUBuffer
    starts: number[]
    bytes: number
  }[] = []
  for (const input of caches) {
    const buffer = findCache(input)
    const bytes = countTokenBytes(input)
    const starts = Array.from({ length: input.heads }, (_, head) => (head * capacity + index) * bytes)
    if (buffer) parts.push({ name: input.present, type: input.type, buffer, starts, bytes })
  }
  if (logits) {
    const { buffer, type, positions, vocabulary } = logits
    const bytes = vocabulary * countElementBytes(type)
    parts.push({ name: logitsOutput, type, buffer, starts: [(positions - 1) * bytes], bytes })
  }
  const size = parts.reduce((sum, { starts, bytes }) => sum + starts.length * bytes, 0)
  const copy = device.createBuffer({ size, usage: bufferUsage.mapRead | bufferUsage.copyTarget })
  const encoder = device.createCommandEncoder()
  let end = 0
  for (const { buffer, starts, bytes } of parts) {
    for (const start of starts) {
      encoder.copyBufferToBuffer(buffer, start, copy, end, bytes)
      end += bytes
    }
  }
  device.queue.submit([encoder.finish()])
  await copy.mapAsync(mapMode.read)
  const mapped = copy.getMappedRange()
  let read = 0
  const result = new Map<string, Float32Array>()
  for (const { name, type, starts, bytes } of parts) {
    const count = (starts.length * bytes) / countElementBytes(type)
    const values =
      type === 'float16'
        ? Float32Array.from(new Uint16Array(mapped, read, count), decodeFloat16)
        : new Float32Array(mapped, read, count).slice()
    result.set(name, values)
    read += starts.length * bytes
  }
  copy.destroy()
  return result
}

/**
 * Returns the largest difference between two results of a step, over the outputs that `expected` has: the root mean square
 * of the differences in an output, divided by the standard deviation of its expected values. NaN if a value is NaN.
 */
export function measureDifference(actual: StepResult, expected: StepResult): number {
  let largest = 0
  for (const [name, values] of expected) {
    const others = actual.get(name)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    let [square, variance] = [0, 0]
    for (const [index, value] of values.entries()) {
      square += (value - (others?.[index] ?? NaN)) ** 2
      variance += (value - mean) ** 2
    }
    const difference = square === 0 ? 0 : Math.sqrt(square / variance)
    largest = Math.max(largest, difference)
  }
  return largest
}
