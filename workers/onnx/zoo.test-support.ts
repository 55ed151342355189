import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { onnxDtypes, type OnnxDtype } from '../../lib/contract/onnx-options.js'
import { nameGraphFile } from './graph-files.js'
import type { ZooAnswer, ZooModel } from './zoo-answers.test-support.js'

/*
 * The zoo: tiny decoders with random weights in the architectures that people run, exported by the real exporters, with
 * prompts. It is not in the repository, but next to it; `RIVULET_ZOO` names another folder. The answers are in the
 * repository: `e2e/models/reference_zoo.py` computes them with ONNX Runtime in Python.
 */

export const zoo = process.env.RIVULET_ZOO ?? join(import.meta.dirname, '../../../shared/zoo/models')
export const hasZoo = existsSync(zoo)

/** The file of `reference_zoo.py`: for each name and dtype, the tokens after each prompt. */
type Answers = Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>
/** A model's file of prompts. */
type Prompts = Readonly<Record<string, { readonly ids?: readonly number[] }>>

const answersFile = join(import.meta.dirname, '../../e2e/models/zoo-reference.json')

/** The builder's Qwen 3.5 has no prompts. It has the tokenizer and the weights of this model. */
const promptSources: Readonly<Record<string, string>> = { 'symbolic/qwen3.5': 'hub/qwen3.5-one-file' }

/** Lists all weight files. */
export function listZoo(): ZooModel[] {
  const names = readdirSync(zoo).flatMap((exporter) =>
    readdirSync(join(zoo, exporter)).map((architecture) => `${exporter}/${architecture}`),
  )
  return names.flatMap((name) => {
    const hasGraph = (dtype: OnnxDtype) =>
      ['model', 'decoder_model_merged'].some((base) =>
        existsSync(join(zoo, name, nameGraphFile(dtype, base))),
      )
    return onnxDtypes.filter(hasGraph).map((dtype) => ({ name, dtype }))
  })
}

/** Reads the prompts of a model and the greedy tokens after them. */
export function readAnswers({ name, dtype }: ZooModel): ZooAnswer[] {
  const answers = JSON.parse(readFileSync(answersFile, 'utf8')) as Answers
  const file = join(zoo, promptSources[name] ?? name, 'reference.json')
  const { prompts } = JSON.parse(readFileSync(file, 'utf8')) as { readonly prompts: Prompts }
  return Object.entries(answers[`${name} ${dtype}`] ?? {}).map(([prompt, tokens]) => {
    const ids = prompts[prompt]?.ids
    if (!ids) throw new Error(`${file} has no prompt "${prompt}".`)
    return { prompt, ids, tokens }
  })
}
