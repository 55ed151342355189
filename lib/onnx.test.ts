import { describe, expect, test } from 'vitest'
import { onnx, type OnnxOptions } from './onnx.js'

const readWasmPaths = (wasmPaths: OnnxOptions['wasmPaths']) => onnx({ wasmPaths }).options

describe('wasmPaths', () => {
  test.each([
    'https://files.example/ort',
    'https://files.example/ort/',
    new URL('https://files.example/ort/'),
  ])('a folder has the file of each device under its own name: %s', (folder) => {
    expect(readWasmPaths(folder)).toEqual({
      wasmPaths: {
        wasm: 'https://files.example/ort/ort-wasm-simd-threaded.wasm',
        webgpu: 'https://files.example/ort/ort-wasm-simd-threaded.asyncify.wasm',
      },
    })
  })

  test('a file can be named for one device alone', () => {
    expect(readWasmPaths({ webgpu: new URL('https://files.example/a1b2.wasm') })).toEqual({
      wasmPaths: { webgpu: 'https://files.example/a1b2.wasm' },
    })
  })

  test('left out, the worker is told nothing', () => {
    expect(onnx({ device: 'wasm' }).options).toEqual({ device: 'wasm' })
  })

  test.each([
    ['http://[', /wasmPaths }\) must be a URL/],
    [7, /wasmPaths }\) must be a URL/],
    [null, /wasmPaths }\) must be a URL/],
    [{ wasm: 'http://[' }, /wasmPaths: { wasm } }\) must be a URL/],
    [{ mjs: 'https://files.example/ort.mjs' }, /no device "mjs"/],
  ])('what names no file is refused by name: %j', (wasmPaths, message) => {
    expect(() => readWasmPaths(wasmPaths as OnnxOptions['wasmPaths'])).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringMatching(message) }),
    )
  })
})
