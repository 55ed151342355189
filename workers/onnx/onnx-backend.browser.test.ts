import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import type { OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import { createNode } from './graph-edit.js'
import { createOnnxBackend } from './onnx-backend.js'
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType,
  ModelProtoSchema,
  type GraphProto,
} from './onnx_pb.js'

afterEach(() => vi.restoreAllMocks())

/** Makes the software adapter, which has no 16-bit floats, look like a graphics card. */
async function pretendGraphicsCard(): Promise<void> {
  const adapter = (await navigator.gpu.requestAdapter())!
  expect(adapter.features.has('shader-f16')).toBe(false)
  const info = { vendor: 'old', architecture: '', description: '', isFallbackAdapter: false }
  const card = Object.defineProperty(adapter, 'info', { value: info })
  vi.spyOn(navigator.gpu, 'requestAdapter').mockResolvedValue(card)
}

/** Loads the embedded model from a folder in which its graph has this name. @param change changes the graph's file */
async function load(
  graphName: string,
  options: Partial<OnnxLoadOptions>,
  change: (file: Blob) => Blob | Promise<Blob> = (file) => file,
  losses = 0,
) {
  const read = async (path: string) => {
    const response = await fetch(`/demo/public/models/stories/${path}`)
    return new File([await response.blob()], path)
  }
  const files = new Map([
    ['config.json', await read('config.json')],
    ['tokenizer.json', await read('tokenizer.json')],
    [
      `onnx/${graphName}`,
      new File([await change(await read('onnx/model_quantized.onnx'))], `onnx/${graphName}`),
    ],
  ])
  const backend = createOnnxBackend()
  const request = {
    lifeLock: 'test',
    losses,
    model: { kind: 'local', name: 'folder', files },
    download: { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 30_000 },
    options,
  } as const
  const context = { onProgress() {}, onLost() {}, signal: new AbortController().signal }
  const info = await backend.load(request, context)
  await backend.unload()
  return info
}

it('a folder with only 16-bit float files runs on WASM if the graphics card cannot compute them, with a warning', async () => {
  await pretendGraphicsCard()
  const info = await load('model_q4f16.onnx', {})
  expect(info).toMatchObject({ device: 'wasm', dtype: 'q4f16' })
  expect(info.warnings).toEqual([expect.stringContaining('shader-f16')])
  expect(info.warnings).toEqual([expect.stringContaining('(old)')])
})

it('a requested graphics card that cannot compute the files of the folder is an error', async () => {
  await pretendGraphicsCard()
  await expect(load('model_q4f16.onnx', { device: 'webgpu' })).rejects.toMatchObject({
    code: 'backend-unavailable',
    message: expect.stringContaining('model_q4f16.onnx'),
  })
})

/** Changes the content of a graph's file. */
async function changeGraph(file: Blob, change: (graph: GraphProto) => void): Promise<Blob> {
  const model = fromBinary(ModelProtoSchema, new Uint8Array(await file.arrayBuffer()))
  change(model.graph!)
  return new Blob([toBinary(ModelProtoSchema, model)])
}

it('a model with dynamically quantized activations reports that it computes every prompt from its start', async () => {
  const info = await load('model_quantized.onnx', { device: 'wasm' }, (file) =>
    changeGraph(file, (graph) => {
      graph.node.push(createNode('DynamicQuantizeLinear', ['logits'], ['rounded', 'scale', 'zero']))
    }),
  )
  expect(info.warnings).toEqual([expect.stringContaining('Every prompt is computed from its start')])
})

/** Limits the scores of attention, as in Gemma 2. */
function addSoftCap(file: Blob): Promise<Blob> {
  const softcap = { name: 'softcap', f: 50, type: AttributeProto_AttributeType.FLOAT }
  return changeGraph(file, ({ node }) => {
    for (const { opType, attribute } of node)
      if (opType === 'GroupQueryAttention') attribute.push(create(AttributeProtoSchema, softcap))
  })
}

describe('a model whose attention has a soft cap, which ONNX Runtime ignores on WebGPU', () => {
  const graphName = 'model_quantized.onnx'

  it('runs on WASM, with a warning, although there is a graphics card', async () => {
    await pretendGraphicsCard()
    expect(await load(graphName, {}, addSoftCap)).toMatchObject({
      device: 'wasm',
      warnings: [expect.stringContaining('soft cap')],
    })
  })

  it('is refused if WebGPU is requested', async () => {
    await expect(load(graphName, { device: 'webgpu' }, addSoftCap)).rejects.toMatchObject({
      code: 'backend-unavailable',
      message: expect.stringContaining("onnx({ device: 'wasm' })"),
    })
  })
})

describe('a GPU that is lost while a model is opened', () => {
  /** Injects a fault: the device is lost when the runtime creates its sixth shader. */
  function loseDevice(): void {
    const { requestDevice } = GPUAdapter.prototype
    vi.spyOn(GPUAdapter.prototype, 'requestDevice').mockImplementation(async function (
      this: GPUAdapter,
      ...parameters
    ) {
      const device = await requestDevice.apply(this, parameters)
      const createShaderModule = device.createShaderModule.bind(device)
      let shaders = 0
      device.createShaderModule = (shader) => {
        shaders += 1
        if (shaders === 6) device.destroy()
        return createShaderModule(shader)
      }
      return device
    })
  }

  it('is reported as such, and not as a wrong model', async () => {
    loseDevice()
    await expect(load('model_quantized.onnx', { device: 'webgpu' })).rejects.toMatchObject({
      code: 'device-lost',
      message: expect.stringContaining('while the model was loading'),
    })
  })

  // A software adapter takes half a minute for the whole load.
  const itInSoak = it.runIf(inject('isSoak'))
  itInSoak(
    'leaves the way that requires the least of the GPU, after two losses',
    { timeout: 120_000 },
    async () => {
      const info = await load('model_quantized.onnx', { device: 'webgpu' }, undefined, 2)
      expect(info).toMatchObject({ execution: 'growing-cache' })
      expect(info.warnings).toEqual([expect.stringContaining('The GPU was lost 2 times')])
    },
  )

  it('is one that the browser does not offer any more', async () => {
    const adapter = await navigator.gpu.requestAdapter()
    const adapters = [adapter]
    vi.spyOn(navigator.gpu, 'requestAdapter').mockImplementation(async () => adapters.shift() ?? null)
    await expect(load('model_quantized.onnx', { device: 'webgpu' })).rejects.toMatchObject({
      code: 'device-lost',
    })
  })
})
