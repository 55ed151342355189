import { createProbes, probeSteps, type BatchProbes } from './batch-probes.js'
import { checkSteps } from './check-steps.js'
import type { GpuBatch } from './batch-steps.js'
import { FailedBatchError, openGpuBatch } from './gpu-batch.js'
import type { GpuModel } from './gpu-model.js'
import { submitDispatches, type GpuSteps, type SharedSteps } from './gpu-steps.js'
import { testReplay } from './self-test.js'
import { WrongFusionError } from './step-check.js'

/** What a new model is checked with, in its first conversation. */
export interface RowChecks {
  /** Opens the batch of the model, if its steps equal those of this conversation alone. @throws FailedBatchError */
  openBatch(maxRows: number): Promise<GpuBatch | undefined>
  /** Runs the self-test, and compares the steps with `referenceSteps`. @throws WrongStepError */
  test(): Promise<void>
}

/** What the checks need of a conversation. */
interface CheckedRow {
  readonly ids: readonly number[]
  /** Forgets all tokens. */
  reset(): void
  prefill(ids: readonly number[]): Promise<void>
  /** Starts an answer of the likeliest tokens. */
  startAnswer(promptIds: readonly number[]): void
  /** Samples the token at `position` of the answer, and starts no step ahead. */
  next(position: number): Promise<number>
}

export function createRowChecks(
  shared: SharedSteps & { readonly model: GpuModel },
  steps: GpuSteps,
  row: CheckedRow,
): RowChecks {
  const { model } = shared
  const { device } = model
  const { tensors, states } = steps

  function writeStep(id: number, length: number): void {
    tensors.writeTokenId(id)
    tensors.writeLength(length)
  }

  /** Computes the steps of probes alone. Then opens the batch, which must compute the same. */
  async function openBatch(maxRows: number): Promise<GpuBatch | undefined> {
    let probes: BatchProbes | undefined
    row.reset()
    try {
      probes = createProbes(model, maxRows)
      if (!probes) return undefined
      await row.prefill(probes.promptIds)
      probes.savePrompt(steps.cache)
      steps.reserve(probes.promptIds.length + probeSteps, row.ids.length)
      for (const probe of probes.list)
        for (const [step, id] of probe.tokenIds.entries()) {
          const length = probe.length + step + 1
          writeStep(id, length)
          const dispatches = steps.chooseDispatches(length)
          if (dispatches) submitDispatches(device, dispatches)
          else await steps.record()
          if (!shared.canReplay) return undefined
          probe.logits.push(await tensors.readLogits())
        }
      const captured = steps.recording?.captured ?? (await steps.capture())?.captured
      return captured && (await openGpuBatch(model, shared, maxRows, tensors.inputs, captured, probes.list))
    } catch (error) {
      if (error instanceof FailedBatchError) throw error
      // Turns need none of this.
      return undefined
    } finally {
      probes?.destroy()
      row.reset()
    }
  }

  async function test(): Promise<void> {
    await testReplay({
      device,
      hasFixedStates: model.fixedStates.length > 0,
      get canReplay() {
        return shared.canReplay
      },
      set canReplay(value) {
        shared.canReplay = value
      },
      ...row,
    })
    if (model.canCapture && !shared.canReplay && shared.pipelines.size > 0)
      throw new WrongFusionError('Steps with fused attention failed the self-test.')
    if (model.referenceSteps) await checkSteps(openStepCheck(), model.referenceSteps)
  }

  function openStepCheck(): Parameters<typeof checkSteps>[0] {
    const { caches, logitsType: type, vocabulary } = model
    return {
      device,
      caches,
      logits: { buffer: tensors.logits, type, positions: 1, vocabulary },
      get cache() {
        return steps.cache
      },
      resize: (capacity) => steps.resize(capacity, row.ids.length),
      canReplay: shared.canReplay,
      recording: steps.recording,
      resetStates: states.reset,
      capture(id, length) {
        writeStep(id, length)
        return steps.capture()
      },
      replay(dispatches, id, length) {
        writeStep(id, length)
        submitDispatches(device, dispatches)
      },
      run: steps.run,
    }
  }

  return { openBatch, test }
}
