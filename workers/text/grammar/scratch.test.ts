import { test } from 'vitest'
import { readFileSync, writeSync } from 'node:fs'
import { loadXgrammar } from './load-xgrammar.test-support.js'
import { createTokenizer } from '../tokenizer.js'
import { createXgrammarEngine } from './xgrammar-engine.js'
import { listTokenBytes } from './list-token-bytes.js'
const dir = '/work/main/.cache/models/smollm2-135m-instruct/'
const json = (f: string) => JSON.parse(readFileSync(dir + f, 'utf8'))
test('x', { timeout: 600000 }, async () => {
  const tok = createTokenizer(json('tokenizer.json'), json('tokenizer_config.json'))
  let t = performance.now()
  const tokens = listTokenBytes(tok)
  console.log('bytes', performance.now() - t)
  t = performance.now()
  const engine = await createXgrammarEngine(await loadXgrammar(), { tokens, endIds: new Set([2]) })
  console.log('engine', performance.now() - t, tok.size)
  const S = JSON.parse(readFileSync('/work/shared/data/json-schemas/schemas.json', 'utf8'))
  const times: [number, string][] = []
  const masks: number[] = []
  for (const { name, schema } of S) {
    t = performance.now()
    writeSync(1, name + '\n')
    try {
      const c = await engine.compile({ type: 'json_schema', json_schema: schema }, 'responseFormat')
      times.push([performance.now() - t, name])
      const m = await c.createMatcher()
      for (let i = 0; i < 60; i++) {
        t = performance.now()
        const mask = await m.computeMask()
        masks.push(performance.now() - t)
        const ok: number[] = []
        for (let id = 0; id < tok.size; id++) if ((mask[id >> 5]! >> (id & 31)) & 1) ok.push(id)
        if (ok.length === 0) {
          console.log('no token', name)
          break
        }
        const id = ok[Math.floor(Math.random() * ok.length)]!
        if (!m.accept(id)) console.log('refused', id)
        if (m.isTerminated) break
      }
      m.release()
    } catch (e) {
      console.log(name, String(e).slice(0, 300))
    }
  }
  times.sort((a, b) => b[0] - a[0])
  console.log(times.slice(0, 12), times[100])
  masks.sort((a, b) => a - b)
  console.log(
    'mask p50',
    masks[masks.length >> 1],
    'p95',
    masks[Math.floor(masks.length * 0.95)],
    masks.at(-1),
  )
})
