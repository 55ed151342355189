import type { OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { Decoder } from './decoder.js'
import { prefillAll } from './prefill.test-support.js'
import { greedy } from './sampler.js'

/* Runs in Node and in the browser. */

/** One weight file of the zoo. */
export interface ZooModel {
  /** Exporter and architecture. */
  readonly name: string
  readonly dtype: OnnxDtype
}

/** A prompt and the greedy tokens after it. */
export interface ZooAnswer {
  readonly prompt: string
  readonly ids: readonly number[]
  readonly tokens: readonly number[]
}

/** A token that differs from the reference. */
export interface Difference {
  readonly prompt: string
  /** The number of tokens before it. */
  readonly position: number
  /** How much smaller the logit of the reference's token is. Small if another order of summation may choose either. */
  readonly gap: number
  /** The standard deviation of the logits. */
  readonly deviation: number
}

/** A decoder with more differences than this is wrong. The comparison stops, because each one computes the prompt again. */
const maxDifferences = 30

/**
 * Generates greedily after a prompt. Where the decoder chooses another token, it continues with the reference's token.
 * @returns the tokens that differ
 */
export async function compareTokens(
  decoder: Decoder,
  { prompt, ids, tokens }: ZooAnswer,
): Promise<Difference[]> {
  const differences: Difference[] = []
  await startAfter(decoder, ids, [])
  for (const [position, expected] of tokens.entries()) {
    const id = await decoder.next(position, 0)
    if (id === expected) continue
    const logits = await decoder.readLogits()
    const gap = logits[id]! - logits[expected]!
    differences.push({ prompt, position, gap, deviation: computeDeviation(logits) })
    if (differences.length === maxDifferences) break
    await startAfter(decoder, ids, tokens.slice(0, position + 1))
  }
  return differences
}

/** Describes the differences that are larger than `tolerance`. */
export function describeDifferences(differences: readonly Difference[], tolerance: number): string {
  // NaN is larger, too.
  const large = differences.filter(({ gap }) => !(gap < tolerance))
  return (
    large
      .map(({ prompt, position, gap }) => `${prompt}: token ${position} by ${gap.toFixed(4)}`)
      .join('; ') || 'equal'
  )
}

function computeDeviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}

async function startAfter(
  decoder: Decoder,
  prompt: readonly number[],
  answer: readonly number[],
): Promise<void> {
  const ids = [...prompt, ...answer]
  await prefillAll(decoder, { ids, promptLength: prompt.length })
  decoder.startAnswer(greedy, 0, ids, [])
}

/** Aligns the columns of a table. */
export function formatColumns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const pad = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')
  return rows.map((row) => pad(row).trimEnd()).join('\n')
}
