import { afterEach, describe, expect, it, vi } from 'vitest'
import { chooseBuild, createRefusal } from './session.js'

describe('the build of ONNX Runtime for WebGPU', () => {
  afterEach(() => vi.unstubAllGlobals())

  /** Stands in for a browser with or without JavaScript Promise Integration. */
  const pretendBrowser = (names: readonly string[]) =>
    vi.stubGlobal('WebAssembly', Object.fromEntries(names.map((name) => [name, () => {}])))

  it.each([
    [['Suspending'], 'jspi'],
    [[], 'webgpu'],
    // An older draft of the specification.
    [['Suspender'], 'webgpu'],
  ] as const)('in a browser whose WebAssembly has %j is %s', (names, build) => {
    pretendBrowser(names)
    expect(chooseBuild('webgpu')).toBe(build)
    expect(chooseBuild('wasm')).toBe('wasm')
  })

  it('is one whose file the app serves', () => {
    pretendBrowser(['Suspending'])
    expect(chooseBuild('webgpu', { webgpu: 'a.wasm' })).toBe('webgpu')
    expect(chooseBuild('webgpu', { webgpu: 'a.wasm', jspi: 'b.wasm' })).toBe('jspi')
    expect(chooseBuild('webgpu', { wasm: 'c.wasm' })).toBe('jspi')
  })
})

const node = "Non-zero status code returned while running MatMul node. Name:'a' Status Message:"

it.each([
  ['NOT_IMPLEMENTED : Could not find an implementation for Foo(1)', 'model-unsupported'],
  [`${node} q_norm_weight inputs are not supported.`, 'model-unsupported'],
  [`${node} Failed to allocate memory for requested buffer of size 100`, 'memory-exceeded'],
  ['std::bad_alloc', 'memory-exceeded'],
  // WebAssembly in Chromium, Firefox and WebKit.
  ['WebAssembly.Memory(): could not allocate memory', 'memory-exceeded'],
  ['Array buffer allocation failed', 'memory-exceeded'],
  ['out of memory', 'memory-exceeded'],
  ['Out of memory', 'memory-exceeded'],
  ['Aborted(OOM). Build with -sASSERTIONS for more info.', 'memory-exceeded'],
  [`${node} WebGPU device was lost`, 'device-lost'],
  ['Device lost while waiting for a buffer. Failed to allocate memory.', 'device-lost'],
  ['Load model failed: protobuf parsing failed.', 'model-invalid'],
])('a model that ONNX Runtime refuses with "%s" is %s', (reason, code) => {
  expect(createRefusal(new Error(reason), 'webgpu')).toMatchObject({
    code,
    message: expect.stringContaining(reason),
  })
})
