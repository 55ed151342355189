import { afterAll, describe, expect, inject, it } from 'vitest'
import { RivuletError } from '../../lib/contract/errors.js'
import type { ModelFolder } from '../store/model-folder.js'
import { readModelConfig } from './model-config.js'
import { readModelWeights } from './model-weights.js'
import { openDecoder } from './open-decoder.js'
import { prefill } from './prefill.js'
import { greedy } from './sampler.js'
import { loadOnnxRuntime } from './session.js'
import { formatColumns, type ZooAnswer, type ZooModel } from './zoo-answers.test-support.js'

interface ZooModelOnPage extends ZooModel {
  readonly answers: readonly ZooAnswer[]
}
declare module 'vitest' {
  interface ProvidedContext {
    readonly zoo: { readonly folder: string; readonly models: readonly ZooModelOnPage[] }
  }
}
const zoo = inject('zoo')

function openServedFolder(name: string): ModelFolder {
  const url = `/@fs${zoo.folder}/${name}`
  const load = async (file: string) => {
    const response = await fetch(`${url}/${file}`)
    return response.ok && !response.headers.get('content-type')?.startsWith('text/html')
      ? response
      : undefined
  }
  return {
    url,
    has: async (file) => (await load(file)) !== undefined,
    readBytes: async (file) => {
      const response = await load(file)
      return response && new Uint8Array(await response.arrayBuffer())
    },
    readText: async (file) => (await load(file))?.text(),
    readJson: async (file) => (await load(file))?.json(),
  }
}

describe('zoo', { timeout: 600_000 }, () => {
  const rows: string[][] = [['architecture', 'exporter', 'dtype', 'execution', 'seconds', 'worst', 'tokens']]
  const pick = zoo.models
  it.each(pick)('$name $dtype', async ({ name, dtype, answers }) => {
    const [exporter = '', architecture = ''] = name.split('/')
    const run = async (strip: boolean) => {
      const start = performance.now()
      let execution = '',
        result = '',
        worst = 0
      try {
        const folder = openServedFolder(name)
        const { contextLength, cacheSizes } = await readModelConfig(folder)
        const weights = await readModelWeights(folder, { dtypes: [dtype], unsupported: [] }, () => {})
        if (strip)
          for (const n of weights.model.graph!.node)
            n.attribute = n.attribute.filter((a) => a.name !== 'accuracy_level')
        const runtime = await loadOnnxRuntime('webgpu')
        const decoder = await openDecoder(runtime, 'webgpu', weights, {
          contextLength,
          cacheSizes,
          conversationCacheBytes: 0,
          onSession: () => {},
        })
        execution = decoder.execution
        const gaps: string[] = []
        for (const { prompt, ids, tokens } of answers) {
          const at = async (answer: readonly number[]) => {
            const all = [...ids, ...answer]
            await prefill(decoder, { ids: all, promptLength: ids.length }, new AbortController().signal)
            decoder.startAnswer(greedy, 0, all, [])
          }
          await at([])
          let bad = 0
          for (const [position, expected] of tokens.entries()) {
            const id = await decoder.next(position, false)
            if (id === expected) continue
            const logits = await decoder.readLogits()
            const gap = logits[id]! - logits[expected]!
            worst = Math.max(worst, gap)
            gaps.push(`${prompt}@${position}:${gap.toFixed(3)}`)
            if (++bad > 12) break
            await at(tokens.slice(0, position + 1))
          }
        }
        await decoder.release()
        result = gaps.join(' ') || 'equal'
      } catch (error) {
        execution = 'refused'
        result =
          error instanceof RivuletError ? `${error.code} ${error.message.slice(0, 160)}` : String(error)
      }
      const row = [
        architecture,
        exporter,
        dtype + (strip ? ' strip' : ''),
        execution,
        ((performance.now() - start) / 1000).toFixed(0),
        worst.toFixed(3),
        result,
      ]
      rows.push(row)
      console.log('ZOO ' + row.join(' | '))
      return worst
    }
    const worst = await run(false)
    if (dtype.startsWith('q4') && worst > 0.05) await run(true)
    expect(1).toBe(1)
  })
  afterAll(() => console.log(formatColumns(rows)))
})
