import { describe, expect, test } from 'vitest'
import { onnx, type OnnxOptions } from './onnx.js'
import { xgrammar, type GrammarEngine } from './xgrammar.js'

const readWasmPaths = (wasmPaths: OnnxOptions['wasmPaths']) => onnx({ wasmPaths }).options

describe('modelFile', () => {
  test.each(['model.onnx', 'onnx/decoder_q4.onnx', 'a/b c/x.ONNX'])(
    'is a path in the folder: %s',
    (modelFile) => {
      expect(onnx({ modelFile }).options).toEqual({ modelFile })
    },
  )

  test.each([
    '',
    'model',
    '/model.onnx',
    '../model.onnx',
    'onnx/../model.onnx',
    './model.onnx',
    'onnx//model.onnx',
    '.onnx',
    'https://files.example/model.onnx',
    'model.onnx?x=.onnx',
    'model.gguf',
    'a\\b.onnx',
    7,
    null,
  ])('is refused if it is anything else: %j', (modelFile) => {
    expect(() => onnx({ modelFile: modelFile as string })).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining('modelFile') }),
    )
  })

  test('is refused together with dtype', () => {
    expect(() => onnx({ modelFile: 'model.onnx', dtype: 'q4' })).toThrow('not both')
  })
})

describe('wasmPaths', () => {
  test.each([
    'https://files.example/ort',
    'https://files.example/ort/',
    new URL('https://files.example/ort/'),
  ])('a folder is resolved to one file for each build: %s', (folder) => {
    expect(readWasmPaths(folder)).toEqual({
      wasmPaths: {
        wasm: 'https://files.example/ort/ort-wasm-simd-threaded.wasm',
        webgpu: 'https://files.example/ort/ort-wasm-simd-threaded.asyncify.wasm',
        jspi: 'https://files.example/ort/ort-wasm-simd-threaded.jspi.wasm',
      },
    })
  })

  test('can be a file for only one build', () => {
    expect(readWasmPaths({ webgpu: new URL('https://files.example/a1b2.wasm') })).toEqual({
      wasmPaths: { webgpu: 'https://files.example/a1b2.wasm' },
    })
  })

  test('are not sent to the worker if left out', () => {
    expect(onnx({ device: 'wasm' }).options).toEqual({ device: 'wasm' })
  })

  test.each([
    ['http://[', /wasmPaths }\) must be a URL/],
    [7, /wasmPaths }\) must be a URL/],
    [null, /wasmPaths }\) must be a URL/],
    [{ wasm: 'http://[' }, /wasmPaths: { wasm } }\) must be a URL/],
    [{ mjs: 'https://files.example/ort.mjs' }, /no build "mjs"/],
  ])('are refused with the name of the option if invalid: %j', (wasmPaths, message) => {
    expect(() => readWasmPaths(wasmPaths as OnnxOptions['wasmPaths'])).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringMatching(message) }),
    )
  })
})

test.each([
  [{ contextLength: 1 }, /contextLength }\) must be an integer, 2 or more; got 1/],
  [{ contextLength: '512' }, /contextLength/],
  [{ maxConcurrentGenerations: 0 }, /maxConcurrentGenerations }\) must be an integer from 1 to 16; got 0/],
  [{ maxConcurrentGenerations: 1.5 }, /maxConcurrentGenerations/],
  [{ endTokens: '<|end|>' }, /endTokens }\) must be a list/],
  [{ endTokens: [7] }, /endTokens/],
])('%j is refused', (options, message) => {
  expect(() => onnx(options as OnnxOptions)).toThrow(
    expect.objectContaining({ code: 'invalid-option', message: expect.stringMatching(message) }),
  )
})

describe('grammar', () => {
  test('brings its own worker', () => {
    const grammar = xgrammar()
    const factory = onnx({ grammar })
    expect(factory.createWorker).toBe(grammar.createWorker)
    expect(factory.options).toEqual({})
  })

  test('is refused together with worker, and if it is not an engine', () => {
    const worker = () => ({}) as Worker
    expect(() => onnx({ grammar: xgrammar(), worker })).toThrow('not both')
    expect(() => onnx({ grammar: {} as GrammarEngine })).toThrow('onnx({ grammar }) must be a grammar engine')
  })
})
