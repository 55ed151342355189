// The progress of a first load on a slow connection, and what a second load requests.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test, type Page } from '@playwright/test'
import { startFaultServer, type FaultServer } from '../workers/store/fault-server.test-support.js'
import { openBarePage } from './bare-page.js'
import { isSoak } from './soak.js'

const wasmPath = 'ort-wasm-simd-threaded.wasm'
const folder = fileURLToPath(new URL('../demo/public/models/stories/', import.meta.url))
const readModel = (path: string) => [`stories/${path}`, readFileSync(folder + path)] as const

/** Serves the embedded model and ONNX Runtime's WebAssembly at one megabyte per second, all connections together. */
async function startSlowServer(isCompressing: boolean): Promise<FaultServer> {
  const wasm = readFileSync(new URL(`../node_modules/onnxruntime-web/dist/${wasmPath}`, import.meta.url))
  const model = ['config.json', 'generation_config.json', 'tokenizer.json', 'onnx/model_quantized.onnx']
  const server = await startFaultServer({ [wasmPath]: wasm, ...Object.fromEntries(model.map(readModel)) })
  if (isCompressing) server.compressedPaths.add(wasmPath)
  server.bytesPerSecond = 1e6
  return server
}

interface SeenProgress {
  readonly atMs: number
  readonly fraction: number
  readonly remainingMs: number | undefined
}

interface SeenLoad {
  readonly totalMs: number
  readonly seen: readonly SeenProgress[]
  readonly paths: readonly string[]
}

/** Loads the model from the server. */
function load(page: Page, { url }: FaultServer): Promise<SeenLoad> {
  return page.evaluate(
    async ({ url, wasmPath }) => {
      const { createEngine, onnx } = window.rivulet
      const startedMs = performance.now()
      const seen: SeenProgress[] = []
      let paths: string[] = []
      const engine = await createEngine({
        backend: onnx({ device: 'wasm', wasmPaths: { wasm: url + wasmPath } }),
        model: `${url}stories/`,
        onProgress({ fraction, remainingMs, files }) {
          seen.push({ atMs: performance.now() - startedMs, fraction, remainingMs })
          paths = files.map(({ path }) => path)
        },
      })
      const totalMs = performance.now() - startedMs
      await engine.dispose()
      return { totalMs, seen, paths }
    },
    { url, wasmPath },
  )
}

/** The first progress at or after each tenth of the bar. */
function readTenths({ seen }: SeenLoad): readonly SeenProgress[] {
  return Array.from({ length: 9 }, (_, index) => seen.find(({ fraction }) => fraction >= (index + 1) / 10)!)
}

// Uncompressed, as some servers send it, the WebAssembly alone takes 14 s.
for (const isCompressing of isSoak ? [true, false] : [true]) {
  const kind = isCompressing ? 'compressed' : 'uncompressed'
  test(`at each tenth of the bar, a tenth of the time has passed, and remainingMs is the rest (${kind} WebAssembly) @alone`, async ({
    page,
  }) => {
    const server = await startSlowServer(isCompressing)
    await openBarePage(page)
    const first = await load(page, server)
    expect(first.paths).toContain(wasmPath)
    expect(first.seen.at(-1)).toMatchObject({ fraction: 1, remainingMs: 0 })
    const tenths = readTenths(first)
    const errors = tenths.map(({ atMs, fraction }) => fraction - atMs / first.totalMs)
    const timeErrors = tenths.map(({ atMs, remainingMs }) =>
      remainingMs === undefined ? Infinity : (remainingMs - (first.totalMs - atMs)) / first.totalMs,
    )
    // On a quiet machine, at most 0.09 and 0.24. A bar that leaves the runtime out is wrong by more than half.
    for (const error of [...errors, ...timeErrors]) expect(Math.abs(error)).toBeLessThan(isSoak ? 0.2 : 0.35)

    const requestsBefore = server.requests.length
    const second = await load(page, server)
    const again = server.requests.slice(requestsBefore)
    expect(again.filter(({ method }) => method !== 'HEAD')).toEqual([])
    expect(again.map(({ path }) => path)).not.toContain(wasmPath)
    expect(second.paths).toContain(wasmPath)
    expect(second.totalMs).toBeLessThan(first.totalMs / 2)
    await server.close()
  })
}
