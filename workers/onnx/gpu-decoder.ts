import { countReusableTokens, freeParked, type ParkedCache } from './computed-tokens.js'
import { createConversations } from './conversations.js'
import type { Decoder } from './decoder.js'
import type { GpuModel } from './gpu-model.js'
import { openRow, type GpuRow, type SharedModel } from './gpu-row.js'
import { leaveOutPoolClears } from './pool-clears.js'
import { startSteps } from './start-steps.js'
import { createStepScheduler } from './step-scheduler.js'

/**
 * Creates a decoder that reads back only eight bytes per token, and 168 more if the answer has log-probabilities. The KV cache stays
 * in fixed GPU buffers. The sampler is a GPU kernel that writes the next input of the graph. A decode step issues the recorded
 * dispatches of a captured ONNX Runtime run and the dispatches of the sampler in one submit.
 *
 * When the promise resolves, the self-test has compared the replay with uncaptured runs, and `checkSteps` has compared the
 * steps with `referenceSteps`; both now, or at an earlier load.
 * @throws WrongStepError if a step differs from the exported graph's, or if replayed steps cannot be checked
 */
export async function createGpuDecoder(model: GpuModel): Promise<Decoder> {
  const { fixedStates, conversationCacheBytes } = model
  const shared: SharedModel = {
    model,
    rows: [],
    conversations: createConversations<ParkedCache>(conversationCacheBytes, freeParked, ({ ids }, target) =>
      countReusableTokens(fixedStates, ids, target),
    ),
    scheduler: createStepScheduler<GpuRow>(
      () => shared.batch?.maxRows ?? 1,
      (rows, report) => startSteps(shared, rows, report),
      (row) => row.whenRead(),
    ),
    batch: undefined,
    pipelines: new Map(),
    canReplay: model.canCapture,
    graphId: 0,
  }
  const row = openRow(shared)
  if (!model.isTested) await row.test()
  const { maxRows = 1 } = model
  if (maxRows > 1 && shared.canReplay) shared.batch = await row.openBatch(maxRows)
  // After the check, so that only the graph differs from the reference.
  if (!model.needsPoolClears) leaveOutPoolClears(model.device)
  return row.decoder
}
