import type { InferenceSession } from 'onnxruntime-web'
import type { DecodeStep } from './check-steps.js'
import { recordDispatches, replayDispatches, type CapturedStep, type Dispatch } from './dispatch-recorder.js'
import { copyCache, createFixedCache, type FixedCache } from './fixed-cache.js'
import { createFixedStates, type FixedStates, type StateSet } from './fixed-states.js'
import { fuseDispatches, maxFusedTokens, type AttentionPipelines, type FusedStep } from './fuse-dispatches.js'
import type { GpuModel } from './gpu-model.js'
import { graphInputs } from './graph-names.js'
import { createOwnEncoder } from './own-encoder.js'
import { createDroppedError } from './step-sampling.js'
import { createStepTensors, type StepTensors } from './step-tensors.js'

/** Disables graph capture for one run. With any other id, ONNX Runtime would later replay a run of this prompt's shape. */
const uncaptured = { extra: { gpu_graph_id: '-1' } }

/** What the steps of all conversations share. */
export interface SharedSteps {
  readonly pipelines: AttentionPipelines
  /** False if decode steps cannot be replayed on this device. */
  canReplay: boolean
  /** The id of the newest capture. A captured run is bound to the buffers of its conversation. */
  graphId: number
}

/** The runs of one conversation: its KV cache and states, and the recorded decode steps. */
export interface GpuSteps {
  readonly tensors: StepTensors
  readonly cache: FixedCache
  readonly states: FixedStates
  /** Makes room for `length` tokens. @param kept the number of tokens in the cache */
  reserve(length: number, kept: number): void
  /** Replaces the cache by one with this capacity. @param kept the number of tokens in the cache */
  resize(capacity: number, kept: number): void
  /** Resolves when the newest cache is allocated. @throws RivuletError `memory-exceeded` if the memory of the GPU is full */
  checkCache(): Promise<void>
  /** Computes `newIds` after `cachedTokens` tokens by ONNX Runtime, without capture. */
  run(newIds: readonly number[], cachedTokens: number): Promise<unknown>
  /**
   * Chooses the dispatches that compute a step in which the sequence has `length` tokens.
   * @returns undefined if the step must be captured
   */
  chooseDispatches(length: number): readonly Dispatch[] | undefined
  /** True if such a step needs no run of ONNX Runtime, even if the cache grows for it. */
  isRecorded(length: number): boolean
  /**
   * Captures and records the step whose inputs are in the buffers.
   * @returns undefined if the recorded dispatches are not enough to repeat the step
   */
  capture(): Promise<DecodeStep | undefined>
  /** Computes the step whose inputs are in the buffers, and keeps its recording. Sets `canReplay` to false if there is none. */
  record(): Promise<void>
  /** The recorded step of the current states, if it was captured with the current cache. */
  readonly recording: DecodeStep | undefined
  destroy(): void
}

export function createGpuSteps(model: GpuModel, shared: SharedSteps): GpuSteps {
  const { runtime, device, session, caches, prefillRules } = model
  const hasPositions = session.inputNames.includes(graphInputs.positionIds)
  const tensors = createStepTensors(runtime, device, { ...model, ...prefillRules, hasPositions })
  const states = createFixedStates(runtime, device, model.fixedStates)
  let cache = createFixedCache(runtime, device, caches, Math.min(model.firstCapacity, model.contextLength))
  /**
   * The recorded decode step for each set of states. It is bound to the buffers of the current cache. A larger cache needs a
   * new recording, unless all attention is fused.
   */
  let recordings: Partial<Record<StateSet, RecordedStep>> = {}
  /** The error of the newest cache. */
  let allocation: Promise<GPUError | null> | undefined

  function reserve(length: number, kept: number): void {
    if (length <= cache.capacity) return
    let capacity = cache.capacity
    while (capacity < length) capacity *= 2
    resize(Math.min(capacity, model.contextLength), kept)
  }

  function resize(capacity: number, kept: number): void {
    device.pushErrorScope('out-of-memory')
    const resized = createFixedCache(runtime, device, caches, capacity)
    // It rejects if the device is lost, which is reported elsewhere.
    allocation = device.popErrorScope().catch(() => null)
    copyCache(device, caches, cache, resized, kept)
    cache.destroy()
    cache = resized
    recordings = Object.fromEntries(
      Object.entries(recordings).map(([set, { fused }]) => [set, { fused: fused?.moveTo(resized.buffers) }]),
    )
  }

  /** Runs ONNX Runtime. Only one run at a time is possible: the scheduler sees to it. */
  function run(inputs: StepTensors['inputs'], options: InferenceSession.RunOptions): Promise<unknown> {
    return session.run(
      { ...inputs, ...cache.feeds, ...states.feeds },
      { ...tensors.outputs, ...cache.fetches, ...states.fetches },
      options,
    )
  }

  async function capture(): Promise<DecodeStep | undefined> {
    const captured = await captureStep(device, shared, (options) => run(tensors.inputs, options))
    if (!captured) return undefined
    const layers = { attentions: model.attentions, caches, buffers: cache.buffers }
    return { captured, fused: await fuseDispatches(device, captured, layers, shared.pipelines) }
  }

  function chooseDispatches(length: number): readonly Dispatch[] | undefined {
    const { fused, captured } = recordings[states.current] ?? {}
    return fused && length <= maxFusedTokens ? fused.dispatches : captured?.replay.dispatches
  }

  return {
    tensors,
    get cache() {
      return cache
    },
    states,
    reserve,
    resize,
    async checkCache() {
      if (await allocation) throw createDroppedError()
    },
    run: (newIds, cachedTokens) => run(tensors.createInputs(newIds, cachedTokens), uncaptured),
    chooseDispatches,
    isRecorded: (length) =>
      length <= cache.capacity
        ? chooseDispatches(length) !== undefined
        : length <= maxFusedTokens && recordings[states.current]?.fused?.canMove === true,
    capture,
    async record() {
      const bound = cache
      const step = await capture()
      // The recording of an earlier cache is bound to buffers that are destroyed.
      if (step && bound === cache) recordings[states.current] = step
      shared.canReplay = step !== undefined
    },
    get recording() {
      const { fused, captured }: RecordedStep = recordings[states.current] ?? {}
      return captured && { captured, fused }
    },
    destroy() {
      cache.destroy()
      states.destroy()
      tensors.destroy()
    },
  }
}

/**
 * Makes ONNX Runtime capture a step, and records its replay. Both runs compute the same step. The first run captures it, and
 * the later ones replay it.
 * @param run computes the step
 * @returns undefined if the recorded dispatches are not enough to repeat the step
 */
export async function captureStep(
  device: GPUDevice,
  shared: Pick<SharedSteps, 'graphId'>,
  run: (options: InferenceSession.RunOptions) => Promise<unknown>,
): Promise<CapturedStep | undefined> {
  shared.graphId += 1
  const options = { extra: { gpu_graph_id: String(shared.graphId) } }
  const step = {
    capture: await recordDispatches(device, () => run(options)),
    replay: await recordDispatches(device, () => run(options)),
  }
  const { bindGroups, otherCommands, dispatches } = step.replay
  return bindGroups.size > 0 || otherCommands > 0 || dispatches.length === 0 ? undefined : step
}

/** A decode step with the current cache. `captured` is missing if the step was captured with an earlier cache. */
interface RecordedStep {
  readonly fused?: FusedStep | undefined
  readonly captured?: DecodeStep['captured']
}

/** Submits dispatches without sampling. */
export function submitDispatches(device: GPUDevice, dispatches: readonly Dispatch[]): void {
  const encoder = createOwnEncoder(device)
  const pass = encoder.beginComputePass()
  replayDispatches(pass, dispatches)
  pass.end()
  device.queue.submit([encoder.finish()])
}
