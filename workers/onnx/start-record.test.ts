/* oxlint-disable no-underscore-dangle -- names of Emscripten */
import { expect, it } from 'vitest'
import { decodeStart, encodeStart, recordStart, repeatStart } from './start-record.js'

/* The WebAssembly is a stand-in: its exports are functions that write to a memory and call imports, as ONNX Runtime's do. */

const threadAddress = 64
const stack = { base: 60_000, end: 50_000 }

interface Instance {
  readonly imports: WebAssembly.Imports
  readonly memory: WebAssembly.Memory
  /** What the instance has done. */
  readonly seen: unknown[]
}

function createImports(): Instance {
  const seen: unknown[] = []
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 4, shared: true })
  const see =
    (name: string, result?: number) =>
    (...args: unknown[]) => {
      seen.push([name, ...args])
      return result
    }
  const env = {
    memory,
    _emscripten_init_main_thread_js(address: number) {
      seen.push(['thread', address])
      // It also writes, as Emscripten's does.
      new Uint8Array(memory.buffer)[address] = 1
    },
    _embind_register_bigint: see('type'),
    environ_sizes_get: see('environment', 0),
    clock_time_get: see('clock', 0),
  }
  return { imports: { env }, memory, seen }
}

type Env = Record<string, (...args: unknown[]) => unknown>

/** @param step what `OrtInit` does besides */
function createExports(
  { memory, seen }: Instance,
  imports: WebAssembly.Imports,
  step: (env: Env) => void = () => {},
): WebAssembly.Exports {
  const env = imports.env as Env
  const write = (at: number, value: number) => (new Uint32Array(memory.buffer)[at / 4] = value)
  return {
    __wasm_call_ctors() {
      seen.push('constructors')
      env._emscripten_init_main_thread_js!(threadAddress)
      env.environ_sizes_get!(8, 12)
      env._embind_register_bigint!(4096, 8, -(2n ** 63n), 2n ** 63n - 1n)
      write(threadAddress + 52, stack.base)
      write(threadAddress + 56, stack.base - stack.end)
    },
    OrtInit(threads: number) {
      seen.push('start')
      step(env)
      // In the last page of the memory.
      write(memory.buffer.byteLength - 4, 7 + threads)
      new Uint8Array(memory.buffer)[threadAddress] = 2
      return 0
    },
    pthread_self: () => threadAddress,
    emscripten_stack_set_limits: (base: number, end: number) => seen.push(['stack', base, end]),
    OrtRun: () => 'run',
  }
}

interface StartCalls {
  __wasm_call_ctors(): void
  OrtInit(threads: number, logLevel: number): number
}

function start(exports: WebAssembly.Exports, threads = 1): number {
  const calls = exports as unknown as StartCalls
  calls.__wasm_call_ctors()
  return calls.OrtInit(threads, 2)
}

function record(step?: (env: Env, instance: Instance) => void) {
  const instance = createImports()
  const recorder = recordStart(instance.imports)
  const exports = createExports(instance, recorder.imports, (env) => step?.(env, instance))
  const wrapped = recorder.wrapExports(exports)
  start(wrapped)
  return { ...instance, recorder, wrapped }
}

/** The record as it comes from the store. */
async function storeRecord() {
  const { recorder, memory } = record()
  const blob = encodeStart(recorder.takeRecord()!)
  const bytes = new Uint8Array(await blob.arrayBuffer())
  return { earlier: decodeStart(bytes), memory, size: bytes.length }
}

it('a repeated start leaves the memory and the registrations of the recorded one, and computes nothing', async () => {
  const { earlier, memory, size } = await storeRecord()
  const instance = createImports()
  const exports = repeatStart(instance.imports, createExports(instance, instance.imports), earlier)
  expect(start(exports)).toBe(0)
  expect(new Uint8Array(instance.memory.buffer)).toEqual(new Uint8Array(memory.buffer))
  expect(instance.seen).toEqual([
    ['thread', threadAddress],
    ['type', 4096, 8, -(2n ** 63n), 2n ** 63n - 1n],
    ['stack', stack.base, stack.end],
  ])
  expect((exports as { OrtRun?: () => string }).OrtRun?.()).toBe('run')
  // Two of 32 pages are not zero.
  expect(size).toBeLessThan(3 * 4096)
})

it('what the instance calls after its start is not recorded, and goes on', () => {
  const { recorder, seen } = record()
  const { calls } = recorder.takeRecord()!
  const { length } = calls
  ;(recorder.imports.env as Env)._embind_register_bigint!(1)
  expect(seen.at(-1)).toEqual(['type', 1])
  expect(calls).toHaveLength(length)
})

it.each<[what: string, step: (env: Env, instance: Instance) => void]>([
  ['reads a clock', (env) => env.clock_time_get!(0)],
  ['registers an object', (env) => env._embind_register_bigint!({})],
  ['lets its memory grow', (_, { memory }) => memory.grow(1)],
])('a start that %s is not recorded', (_, step) => {
  expect(record(step).recorder.takeRecord()).toBeUndefined()
})

it('an instance without the exports of a start is left alone', () => {
  const { imports } = createImports()
  const exports = { OrtRun: () => 'run' }
  expect(recordStart(imports).wrapExports(exports)).toBe(exports)
})

it('a start with other options, or with another memory, is refused', async () => {
  const { earlier } = await storeRecord()
  const instance = createImports()
  const exports = createExports(instance, instance.imports)
  expect(() => start(repeatStart(instance.imports, exports, earlier), 4)).toThrow('other options')
  instance.memory.grow(1)
  expect(() => repeatStart(instance.imports, exports, earlier)).toThrow('another size')
})
