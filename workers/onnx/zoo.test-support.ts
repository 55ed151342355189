import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { onnxDtypes, type OnnxDtype } from '../../lib/contract/onnx-options.js'
import type { Decoder } from './decoder.js'
import { nameGraphFile } from './graph-files.js'
import { prefill } from './prefill.js'
import { greedy } from './sampler.js'

/*
 * The zoo: tiny decoders with random weights in the architectures that people run, exported by the real exporters, with the
 * greedy tokens of ONNX Runtime in Python. It is not in the repository, but next to it; `RIVULET_ZOO` names another folder.
 */

export const zoo = process.env.RIVULET_ZOO ?? join(import.meta.dirname, '../../../shared/zoo/models')
export const hasZoo = existsSync(zoo)

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

/** The file of `reference.json`. */
interface ReferenceFile {
  readonly prompts: Readonly<Record<string, { readonly ids?: readonly number[] }>>
  readonly graphs: Readonly<
    Record<string, Readonly<Record<string, { readonly tokens?: readonly number[] } | string>>>
  >
}

/** Lists all weight files of models that have a reference. */
export function listZoo(): ZooModel[] {
  const names = readdirSync(zoo).flatMap((exporter) =>
    readdirSync(join(zoo, exporter)).map((architecture) => `${exporter}/${architecture}`),
  )
  return names
    .filter((name) => existsSync(join(zoo, name, 'reference.json')))
    .flatMap((name) => {
      const hasGraph = (dtype: OnnxDtype) =>
        ['model', 'decoder_model_merged'].some((base) =>
          existsSync(join(zoo, name, nameGraphFile(dtype, base))),
        )
      return onnxDtypes.filter(hasGraph).map((dtype) => ({ name, dtype }))
    })
}

/**
 * Models that ONNX Runtime in Python cannot run on the CPU, and the same weights from another exporter. Only the floats are
 * the same: exporters quantize differently.
 */
const sameFloats = new Map([
  ['symbolic/qwen3', 'genai/qwen3'],
  ['symbolic/lfm2', 'hub/lfm2'],
])

function readReference(name: string): ReferenceFile {
  return JSON.parse(readFileSync(join(zoo, name, 'reference.json'), 'utf8')) as ReferenceFile
}

/** The reference of a model; empty if ONNX Runtime in Python could not run it. */
export function readAnswers({ name, dtype }: ZooModel): ZooAnswer[] {
  const twin = dtype === 'fp32' || dtype === 'fp16' ? sameFloats.get(name) : undefined
  const { prompts, graphs } = readReference(twin ?? name)
  const answers = graphs[dtype] ?? {}
  return Object.entries(answers).flatMap(([prompt, answer]) => {
    const ids = prompts[prompt]?.ids
    const tokens = typeof answer === 'object' ? answer.tokens : undefined
    return ids && tokens ? [{ prompt, ids, tokens }] : []
  })
}

/**
 * Generates greedily after a prompt. Where the decoder's best token is another one, but the reference's token is worse by
 * less than `tolerance`, it continues with the reference's token: another order of summation may choose either.
 * @returns undefined if the tokens are equal, or else where they differ
 */
export async function findDifference(
  decoder: Decoder,
  { prompt, ids, tokens }: ZooAnswer,
  tolerance: number,
): Promise<string | undefined> {
  await startAfter(decoder, ids, [])
  for (const [position, expected] of tokens.entries()) {
    const id = await decoder.next(position, false)
    if (id === expected) continue
    const logits = await decoder.readLogits()
    const gap = logits[id]! - logits[expected]!
    if (!(gap < tolerance)) return `${prompt}: token ${position} by ${gap.toFixed(4)}`
    await startAfter(decoder, ids, tokens.slice(0, position + 1))
  }
  return undefined
}

async function startAfter(
  decoder: Decoder,
  prompt: readonly number[],
  answer: readonly number[],
): Promise<void> {
  const ids = [...prompt, ...answer]
  await prefill(decoder, { ids, promptLength: prompt.length }, new AbortController().signal)
  decoder.startAnswer(greedy, 0, ids, [])
}
