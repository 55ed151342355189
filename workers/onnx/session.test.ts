import { expect, it } from 'vitest'
import { createRefusal } from './session.js'

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
  [`${node} WebGPU device was lost`, 'model-invalid'],
  ['Load model failed: protobuf parsing failed.', 'model-invalid'],
])('a model that ONNX Runtime refuses with "%s" is %s', (reason, code) => {
  expect(createRefusal(new Error(reason), 'webgpu')).toMatchObject({
    code,
    message: expect.stringContaining(reason),
  })
})
