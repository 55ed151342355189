import type { BatchStep, GpuBatch } from './batch-steps.js'
import type { GpuRow } from './gpu-row.js'
import type { StepReport } from './step-scheduler.js'

/** A conversation with a requested step. */
type StartedRow = Pick<GpuRow, 'canBatch' | 'startStep' | 'prepareStep' | 'reportStarted'>

/**
 * Starts the requested steps of the conversations: together where that is possible, otherwise one after the other. Reports each
 * by itself.
 * @param shared `rows` are all conversations of the model
 */
export async function startSteps<Row extends StartedRow>(
  { batch, rows: all }: { readonly batch: GpuBatch | undefined; readonly rows: readonly Row[] },
  rows: readonly Row[],
  report: StepReport<Row>,
): Promise<void> {
  // In the order of the model, so that the bind groups of the last step with these conversations are found again.
  const together = all.filter((row) => rows.includes(row) && row.canBatch)
  const batched = batch && together.length > 1 ? together : []
  if (batch && batched.length > 0) startTogether(batch, batched, report)
  for (const row of rows)
    if (!batched.includes(row))
      await row.startStep().then(
        () => report.started(row),
        (error: unknown) => report.failed(row, error),
      )
}

function startTogether<Row extends StartedRow>(
  batch: GpuBatch,
  rows: readonly Row[],
  report: StepReport<Row>,
): void {
  const steps = new Map<Row, BatchStep>()
  for (const row of rows)
    try {
      steps.set(row, row.prepareStep())
    } catch (error) {
      report.failed(row, error)
    }
  if (steps.size === 0) return
  try {
    const sampled = batch.submit([...steps.values()])
    for (const [index, row] of [...steps.keys()].entries()) {
      row.reportStarted(sampled[index])
      report.started(row)
    }
  } catch (error) {
    for (const row of steps.keys()) report.failed(row, error)
  }
}
