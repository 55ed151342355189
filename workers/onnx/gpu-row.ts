import { RivuletError } from '../../lib/contract/errors.js'
import type { BatchStep, GpuBatch } from './batch-steps.js'
import { splitAtCheckpoints } from './checkpoints.js'
import { createComputedTokens, type ParkedCache } from './computed-tokens.js'
import type { Conversations } from './conversations.js'
import { createInvalidLogitsError, type Decoder, type FindMask } from './decoder.js'
import type { Dispatch } from './dispatch-recorder.js'
import type { FixedCache } from './fixed-cache.js'
import { maxFusedTokens } from './fuse-dispatches.js'
import { describeLoss } from './gpu-device.js'
import type { GpuModel } from './gpu-model.js'
import { createGpuSteps, submitDispatches, type SharedSteps } from './gpu-steps.js'
import type { Ranking } from './ranking.js'
import { createRowChecks, type RowChecks } from './row-checks.js'
import { greedy } from './sampler.js'
import { noToken } from './sampler-arithmetic.js'
import { createStepSampling, type SampledToken } from './step-sampling.js'
import { createStepsAhead } from './steps-ahead.js'
import type { StepScheduler } from './step-scheduler.js'

/** Large, since each run costs as much CPU time as an uncaptured decode step, no matter how many tokens it computes. */
const prefillChunkTokens = 1024
/** The number for a graph that computes a matrix of scores, whose size is a multiple of this number. */
const scoreMatrixChunkTokens = 128

/** What the conversations of a model share. */
export interface SharedModel extends SharedSteps {
  readonly model: GpuModel
  readonly rows: GpuRow[]
  readonly conversations: Conversations<ParkedCache>
  readonly scheduler: StepScheduler<GpuRow>
  /** Computes the steps of several conversations together; undefined if they take turns. */
  batch: GpuBatch | undefined
}

/** A conversation: its cache, and its decoder. */
export interface GpuRow extends RowChecks {
  readonly ids: readonly number[]
  readonly cache: FixedCache
  readonly decoder: Decoder
  /** True if the step that the conversation has requested from the scheduler can be computed with those of others. */
  readonly canBatch: boolean
  /** Starts the requested step alone. */
  startStep(): Promise<void>
  /** Returns the requested step for a batch, with room for its token. */
  prepareStep(): BatchStep
  /** Reports that the prepared step is submitted. @param sampled as `GpuBatch.submit` returns */
  reportStarted(sampled: Promise<SampledToken> | undefined): void
  /** Resolves when the token is read back for which the conversation waits. */
  whenRead(): Promise<unknown>
  destroy(): void
}

/** A decode step: it computes a token, and samples the next one. */
interface RowStep {
  /** The position of the sampled token in the answer. */
  readonly position: number
  /** The total length, with the token that the step computes. */
  readonly length: number
  /** True if the computed token can still be on its way back, so that only the GPU knows it. */
  readonly isAhead: boolean
  /** True if the conversation samples the next token itself, under a mask. */
  readonly isMasked: boolean
  /** Resolves when the step is started. */
  started: Promise<unknown>
  isStarted: boolean
  /** Resolves when the sampled token is read back; undefined until it is sampled. */
  sampled: Promise<SampledToken> | undefined
}

/** Opens another conversation. */
export function openRow(shared: SharedModel): GpuRow {
  const { model, conversations, scheduler } = shared
  const { device, session, caches, fixedStates, vocabulary, logitsType, prefillRules } = model
  const steps = createGpuSteps(model, shared)
  const { tensors } = steps
  const { logits, tokenId } = tensors
  const sampling = createStepSampling(device, { logits, logitsType, vocabulary, tokenId })
  const listOthers = () => shared.rows.filter((other) => other !== row)
  const computed = createComputedTokens(model, steps, conversations, listOthers)
  const { ids } = computed
  /** The ranking of the step that `next` returned last. */
  let ranking: Ranking | undefined
  /** The token that was sampled and stored in `tokenId`, but that no step has computed yet. */
  let pending: number | undefined
  /** The newest steps that were started or requested before `next` asked for them, oldest first. */
  const ahead: RowStep[] = []
  const stepsAhead = createStepsAhead()
  /** The position of the current token in the answer, and the last position of which a step may start. */
  let wanted = { position: 0, until: 0 }
  /** The newest step that was requested from the scheduler; undefined if it is started, or the conversation has left it. */
  let request: RowStep | undefined
  /** Resolves when the token is read back for which `next` waits. */
  let reading: Promise<unknown> | undefined

  /** Forgets the sampled token that is not computed, and the step that waits to compute it. */
  function dropPending(): void {
    pending = undefined
    ahead.length = 0
    request = undefined
    scheduler.leave(row)
  }

  /** Computes `newIds` in one run, or in several runs if there are checkpoints between the first and the last token. */
  async function prefill(newIds: readonly number[]): Promise<void> {
    const start = ids.length
    const { checkpoints } = computed
    for (const stop of splitAtCheckpoints(checkpoints, start, start + newIds.length)) {
      if (checkpoints.includes(ids.length)) computed.park()
      await scheduler.run(() => computePart(newIds.slice(ids.length - start, stop - start)))
    }
  }

  /** Computes a part of a prompt. While others decode, waits for the GPU, because ONNX Runtime only submits a run. */
  async function computePart(newIds: readonly number[]): Promise<void> {
    await compute(newIds)
    // Otherwise, all runs of a prompt could be submitted before the next step of another conversation.
    if (scheduler.decodingCount > 0) await device.queue.onSubmittedWorkDone()
  }

  async function compute(newIds: readonly number[]): Promise<void> {
    const length = ids.length + newIds.length
    steps.reserve(length, ids.length)
    computed.logitsLength = undefined
    await steps.checkCache().catch(replaceDropped)
    await steps.run(newIds, ids.length)
    computed.add(newIds, length)
    computed.logitsLength = length
    dropPending()
  }

  /** Starts the requested step alone: submits its replay, or lets ONNX Runtime compute it. */
  async function startStep(): Promise<void> {
    const step = request
    if (!step) return
    let dispatches: readonly Dispatch[] = []
    if (shared.canReplay || step.isAhead) {
      prepareStep()
      tensors.writeLength(step.length)
      const known = steps.chooseDispatches(step.length)
      if (!known) await recordStep()
      // Nobody waits for a step that was left meanwhile.
      if (request !== step) return
      dispatches = known ?? []
    } else await compute([pending!])
    noteStarted(step)
    if (!step.isMasked) step.sampled = submit(step.position, dispatches)
    else if (dispatches.length > 0) submitDispatches(device, dispatches)
  }

  /** Computes the requested step, and records it. If that fails, this step and all later ones are computed without replay. */
  async function recordStep(): Promise<void> {
    const step = request!
    try {
      await steps.record()
    } catch {
      shared.canReplay = false
      if (request !== step) return
      await compute([pending!])
      request = step
    }
  }

  /** Makes room for the token of the requested step. */
  function prepareStep(): BatchStep {
    const { position, length, isMasked } = request!
    steps.reserve(length, length - 1)
    computed.logitsLength = undefined
    return { cache: steps.cache, tensors, length, position, sampling: isMasked ? undefined : sampling }
  }

  /** Called after the step: if the step fails, the token must not count as computed. */
  function noteStarted(step: RowStep): void {
    if (pending !== undefined) computed.add([pending], step.length)
    pending = undefined
    if (request === step) request = undefined
    step.isStarted = true
    // The dispatches are submitted before anything else reads the logits.
    computed.logitsLength = step.length
  }

  function submit(position: number, dispatches: readonly Dispatch[]): Promise<SampledToken> {
    const sampled = sampling.submit(position, dispatches)
    // The sampler alone is no step.
    if (dispatches.length > 0) stepsAhead.track(sampled)
    return ignoreFailure(sampled)
  }

  function createStep(position: number, { isAhead = false, isMasked = false }): RowStep {
    return {
      position,
      length: (ahead.at(-1)?.length ?? ids.length) + 1,
      isAhead,
      isMasked,
      started: Promise.resolve(),
      isStarted: false,
      sampled: undefined,
    }
  }

  /** Computes the pending token, if there is one, and samples the next one. Finds its mask while the step runs. */
  async function computeStep(position: number, findMask: FindMask | undefined): Promise<RowStep> {
    const step = createStep(position, { isMasked: findMask !== undefined })
    if (pending !== undefined) {
      request = step
      await scheduler.step(row)
    }
    if (findMask) sampling.setMask(await findMask())
    step.sampled ??= submit(position, [])
    return step
  }

  /** Starts or requests steps before the current token is read back. A step is requested only after the one before it is started. */
  function startAhead(): void {
    const most = fixedStates.length > 0 ? 1 : stepsAhead.most
    while (ahead.length < most) {
      const newest = ahead.at(-1)
      const position = (newest?.position ?? wanted.position) + 1
      if (position > wanted.until || newest?.isStarted === false) return
      const step = startStepAhead(position)
      if (!step) return
      ahead.push(step)
      // Unless the answer has left it, or `next` waits for it.
      if (!step.isStarted) step.started.then(() => ahead.at(-1) === step && startAhead()).catch(() => {})
    }
  }

  function startStepAhead(position: number): RowStep | undefined {
    const isShared = shared.batch !== undefined && scheduler.decodingCount > 1
    const step = createStep(position, { isAhead: true })
    const { length } = step
    if (!shared.canReplay || length > model.contextLength) return undefined
    if (isShared) {
      // Nobody waits for the step when the answer ends. A run of ONNX Runtime would then use a cache that changes.
      if (!steps.isRecorded(length)) return undefined
      request = step
      step.started = ignoreFailure(scheduler.step(row))
      return step
    }
    const dispatches = steps.chooseDispatches(length)
    if (!dispatches || length > steps.cache.capacity) return undefined
    tensors.writeLength(length)
    noteStarted(step)
    step.sampled = submit(position, dispatches)
    return step
  }

  async function next(position: number, following: number, findMask?: FindMask): Promise<number> {
    scheduler.join(row)
    const step = ahead.shift() ?? (await computeStep(position, findMask))
    await step.started
    wanted = { position, until: position + following }
    startAhead()
    reading = step.sampled
    const sampled = await step.sampled!.catch(replaceDropped).finally(() => (reading = undefined))
    ranking = sampled.ranking
    const { id } = sampled
    if (id === noToken) throw createInvalidLogitsError()
    if (ahead[0]?.isStarted) computed.add([id], ahead[0].length)
    else pending = id
    sampling.noteSampled(id)
    return id
  }

  function reset(): void {
    dropPending()
    computed.rewind(0)
  }

  /** After dropped work, the cache is not complete, or could not be allocated. */
  function replaceDropped(error: unknown): never {
    if (error instanceof RivuletError && error.code === 'memory-exceeded') {
      reset()
      steps.resize(Math.min(model.firstCapacity, model.contextLength), 0)
    }
    throw error
  }

  const decoder: Decoder = {
    get execution() {
      return shared.canReplay ? 'replayed' : 'fixed-cache'
    },
    lost: device.lost.then(describeLoss),
    prefillChunkTokens: model.hasScoreMatrix ? scoreMatrixChunkTokens : prefillChunkTokens,
    prefillRules,
    recall(target) {
      dropPending()
      return computed.recall(target)
    },
    recallLogits(target) {
      const isSame = computed.hasLogits(target)
      if (isSame) dropPending()
      return isSame
    },
    countCurrent: computed.countCurrent,
    countReusable: computed.countReusable,
    stateFormat: JSON.stringify([model.graphHash, caches, fixedStates]),
    stateSchema: { caches, fixedStates },
    copyStates(target) {
      dropPending()
      return computed.copyStates(target)
    },
    restoreStates(copiedIds, pieces, reservedTokens) {
      dropPending()
      computed.restoreStates(copiedIds, pieces, reservedTokens)
    },
    prefill,
    startAnswer(options, seed, promptIds, answerIds, rankCount) {
      sampling.start(rankCount, options, seed, promptIds, answerIds)
      ahead.length = 0
    },
    next,
    endAnswer: dropPending,
    fork: () => openRow(shared).decoder,
    append: sampling.addTokens,
    readRanking: () => ranking!,
    readLogits: tensors.readLogits,
    async release() {
      await session.release()
      conversations.clear()
      for (const each of shared.rows) each.destroy()
      shared.batch?.destroy()
      device.destroy()
    },
  }

  const checks = createRowChecks(shared, steps, {
    ids,
    reset,
    prefill,
    startAnswer: (promptIds) => sampling.start(undefined, greedy, 0, promptIds),
    next: (position) => next(position, 0),
  })

  const row: GpuRow = {
    ids,
    get cache() {
      return steps.cache
    },
    decoder,
    get canBatch() {
      if (!shared.canReplay || !request) return false
      return request.length <= maxFusedTokens && steps.isRecorded(request.length)
    },
    startStep,
    prepareStep,
    reportStarted(sampled) {
      const step = request!
      noteStarted(step)
      if (!sampled) return
      stepsAhead.track(sampled)
      step.sampled = ignoreFailure(sampled)
    },
    whenRead: () => reading ?? Promise.resolve(),
    ...checks,
    destroy() {
      steps.destroy()
      sampling.destroy()
    },
  }
  shared.rows.push(row)
  return row
}

/** A step whose answer was left may fail. */
function ignoreFailure<Result>(promise: Promise<Result>): Promise<Result> {
  promise.catch(() => {})
  return promise
}
