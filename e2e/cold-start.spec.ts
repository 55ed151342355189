// The progress of a first load on a slow connection, and what a second load requests.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test, type Page } from '@playwright/test'
import { startFaultServer, type FaultServer } from '../workers/store/fault-server.test-support.js'
import { loadEngine, openBarePage, streamAnswer } from './bare-page.js'
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
    // On a quiet machine, at most 0.1 and 0.25; a busy disk makes the first estimate of the rest longer. A bar that leaves the
    // runtime out is wrong by more than half.
    for (const error of [...errors, ...timeErrors]) expect(Math.abs(error)).toBeLessThan(isSoak ? 0.3 : 0.45)

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

/** The folder of ONNX Runtime's record in the private file system. */
const startPath = 'ort-wasm-simd-threaded.jspi.wasm.start'

/**
 * Lets the recorded start have other options than ONNX Runtime starts with.
 * @returns undefined if there is no record yet
 */
function damageRecord(page: Page): Promise<true | undefined> {
  return page.evaluate(async (startPath) => {
    const root = await navigator.storage.getDirectory()
    const runtimes = await root.getDirectoryHandle('rivulet-runtimes')
    for await (const folder of runtimes.values()) {
      if (folder.kind !== 'directory') continue
      const record = await folder.getDirectoryHandle(startPath).catch(() => undefined)
      const complete = await record?.getFileHandle('complete').catch(() => undefined)
      if (!record || !complete) continue
      const content = await record.getFileHandle('0')
      const bytes = new Uint8Array(await (await content.getFile()).arrayBuffer())
      const text = new TextDecoder('latin1').decode(bytes.subarray(0, 65536))
      bytes[text.indexOf('"init":{"args":[1') + '"init":{"args":['.length] = '7'.charCodeAt(0)
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
      const write = async (file: FileSystemFileHandle, data: string | Uint8Array<ArrayBuffer>) => {
        const writable = await file.createWritable()
        await writable.write(data)
        await writable.close()
      }
      await write(content, bytes)
      await write(complete, [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join(''))
      return true as const
    }
    return undefined
  }, startPath)
}

test('a later load repeats the start of ONNX Runtime that was recorded, and a record that fails is removed @soak', async ({
  page,
}) => {
  await openBarePage(page)
  const tell = async () => {
    const engine = await loadEngine(page, 'webgpu')
    const answer = await streamAnswer(engine, 'Tell me a story.', { temperature: 0, maxTokens: 8 })
    await engine.evaluate((engine) => engine.dispose())
    return answer.result.text
  }
  const story = await tell()
  await expect
    .poll(() => page.evaluate(() => window.rivulet.store.listRuntimes()))
    .toMatchObject([{ runtime: 'onnxruntime-web', isComplete: true }])
  expect(await tell()).toBe(story)
  await expect.poll(() => damageRecord(page)).toBe(true)
  await expect(tell()).rejects.toThrow('ONNX Runtime starts with other options.')
  expect(await tell()).toBe(story)
})
