import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { RuntimeFile } from '../store/runtime-file.js'
import type * as Session from './session.js'
import { startOnnxRuntime } from './start-runtime.js'

/* ONNX Runtime and the store are stand-ins: a first session requests the file of its build, as ONNX Runtime does. */

const seen: string[] = []

vi.mock('./session.js', async (importOriginal) => ({
  ...(await importOriginal<typeof Session>()),
  loadOnnxRuntime: async (device: string) => ({
    env: { versions: {} },
    InferenceSession: {
      async create() {
        await new Promise(setImmediate)
        // Twice, as after a compilation that failed.
        for (const _ of [1, 2])
          seen.push(`${device}: ${await (await fetch(`https://app.example/${device}.wasm`)).text()}`)
        seen.push(`other: ${await (await fetch('https://app.example/other.wasm')).text()}`)
        return { release: async () => {} }
      },
    },
  }),
}))
vi.mock('../store/runtime-file.js', () => ({
  openRuntime: async () => ({}),
  async fetchRuntimeFile(url: string, { path }: RuntimeFile) {
    // The other build is asked for meanwhile.
    await new Promise(setImmediate)
    const blob = new Blob([`${path} of ${await (await fetch(url)).text()}`])
    return { blob }
  },
}))

beforeEach(() => {
  vi.stubGlobal('self', globalThis)
  vi.stubGlobal('location', { href: 'https://app.example/worker.js' })
  vi.stubGlobal('fetch', async (url: string) => new Response(`the server's ${url.replace(/.*\//, '')}`))
})
afterEach(() => vi.unstubAllGlobals())

it('gives each build its own file, and leaves other files and later requests to the server', async () => {
  const { fetch } = globalThis
  const options = { idleTimeoutMs: 1, signal: new AbortController().signal } as Parameters<
    typeof startOnnxRuntime
  >[2]
  await Promise.all([
    startOnnxRuntime('webgpu', undefined, options),
    startOnnxRuntime('wasm', undefined, options),
  ])
  const builds = { webgpu: 'ort-wasm-simd-threaded.asyncify.wasm', wasm: 'ort-wasm-simd-threaded.wasm' }
  expect(seen).toEqual(
    Object.entries(builds).flatMap(([device, path]) => [
      `${device}: ${path} of the server's ${device}.wasm`,
      `${device}: ${path} of the server's ${device}.wasm`,
      "other: the server's other.wasm",
    ]),
  )
  expect(globalThis.fetch).toBe(fetch)
})
