import { beforeEach, expect, it, vi } from 'vitest'
import type { CapturedStep, Dispatch } from './dispatch-recorder.js'
import { mergeProducts } from './merge-products.js'
import { nameDispatches } from './named-dispatches.js'
import { watchPipelines } from './pipeline-names.js'
import { bufferUsage } from './webgpu-flags.js'

/* The device is a stand-in, and the dispatches are those of ONNX Runtime 1.30.0, with the names of their buffers. */

const qkv = 'input_a,q_b,q_scales_b,k_b,k_scales_b,v_b,v_scales_b,q_output,k_output,v_output'
const mlp = 'input_a,skip,norm_scale,gate_b,gate_scales_b,up_b,up_scales_b,output,input_skip_bias_sum'
const product = 'input_a,input_b,scales_b,output'
const norm = 'x,skip,gamma,output,input_skip_bias_sum'

/** The words of the uniforms of `qkv`, whose last ones are: workgroups of a batch, batches, elements of the skipped tensor. */
const qkvUniforms = [64, 32, 64, 16, 2, 32, 2, 8, 1, 0]
const mlpUniforms = [128, 64, 16, 2, 32, 2, 8, 1, 64]

type Listed = readonly [names: string, buffers: string, uniforms?: readonly number[]]

const alone: Listed[] = [
  [qkv, 'one,wq,sq,wk,sk,wv,sv,q1,k1,v1', qkvUniforms],
  [mlp, 'a1,r1,gamma,wg,sg,wu,su,o1,sum1', mlpUniforms],
]
const together: Listed[] = [
  [product, 'x,wq,sq,q'],
  [product, 'x,wk,sk,k'],
  [product, 'x,wv,sv,v'],
  [norm, 'a,r,gamma,n,sum'],
  [product, 'n,wg,sg,gate'],
  [product, 'n,wu,su,up'],
  ['gate,up,output', 'gate,up,o'],
]

let device: GPUDevice
let groups: string[][]
let written: number[][]
const buffers = new Map<string, GPUBuffer>()

beforeEach(() => {
  groups = []
  written = []
  buffers.clear()
  device = {
    limits: { maxComputeWorkgroupsPerDimension: 65535 },
    queue: { writeBuffer: (_: GPUBuffer, __: number, words: Uint32Array) => void written.push([...words]) },
    createBuffer: () => ({ label: 'new uniforms' }),
    createShaderModule: ({ code }: GPUShaderModuleDescriptor) => ({ code }),
    createComputePipeline: () => ({ getBindGroupLayout: () => ({}) }),
    createComputePipelineAsync: () => Promise.resolve({}),
    createBindGroup: ({ entries }: GPUBindGroupDescriptor) => {
      const bound = [...entries].map(({ resource }) => resource as unknown as { buffer: { label: string } })
      groups.push(bound.map(({ buffer }) => buffer.label))
      return {}
    },
  } as unknown as GPUDevice
  vi.stubGlobal('GPUDevice', { prototype: device })
  watchPipelines(device)
})

/** @param weightBytes the size of each buffer */
function find(label: string, weightBytes: number): GPUBuffer {
  const buffer = buffers.get(label) ?? ({ label, size: weightBytes, usage: 0 } as GPUBuffer)
  buffers.set(label, buffer)
  return buffer
}

function capture(listed: readonly Listed[], weightBytes: number): CapturedStep {
  const bindGroups = new Map<GPUBindGroup, GPUBindGroupEntry[]>()
  const uniforms = new Map<GPUBuffer, Uint8Array>()
  const dispatches = listed.map(([names, labels, words]): Dispatch => {
    const code = names
      .split(',')
      .map((name, binding) => `@group(0) @binding(${binding}) var<storage, read> ${name}: array<f32>;`)
      .join('\n')
    const module = device.createShaderModule({ code })
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } })
    const group = {} as GPUBindGroup
    const entries = labels
      .split(',')
      .map((label, binding) => ({ binding, resource: { buffer: find(label, weightBytes) } }))
    if (words) {
      const buffer = { label: 'uniforms', size: 4 * words.length, usage: bufferUsage.uniform } as GPUBuffer
      uniforms.set(buffer, new Uint8Array(Uint32Array.from(words).buffer))
      entries.push({ binding: entries.length, resource: { buffer } })
    }
    bindGroups.set(group, entries)
    return { pipeline, bindGroups: [group], workgroups: { kind: 'direct', count: [8, 1, 1] } }
  })
  const recording = { bindGroups, dispatches, uniforms, otherCommands: 0 }
  return { capture: recording, replay: recording }
}

function merge(rows: number, changed = together, aloneChanged = alone, weightBytes = 1024) {
  const one = capture(aloneChanged, weightBytes)
  return mergeProducts(device, nameDispatches(capture(changed, weightBytes)), one, rows)
}

it('the products of a step use the merged kernels of a step of one conversation, with a row of workgroups for each', () => {
  const merged = merge(4)
  expect(merged.map(({ dispatch: { workgroups } }) => workgroups)).toEqual([
    { kind: 'direct', count: [32, 1, 1] },
    { kind: 'direct', count: [32, 1, 1] },
  ])
  expect(groups).toEqual([
    ['x', 'wq', 'sq', 'wk', 'sk', 'wv', 'sv', 'q', 'k', 'v', 'new uniforms'],
    ['a', 'r', 'gamma', 'wg', 'sg', 'wu', 'su', 'o', 'sum', 'new uniforms'],
  ])
  expect(written).toEqual([qkvUniforms.with(8, 4), mlpUniforms.with(7, 4).with(8, 256)])
})

it.each<[string, number, Listed[], Listed[], number]>([
  ['they have other weights', 2, together.with(0, [product, 'x,other,sq,q']), alone, 1024],
  ['they have other inputs', 2, together.with(1, [product, 'y,wk,sk,k']), alone, 1024],
  ['a kernel is unknown', 2, together.with(2, ['input_a,output', 'x,v']), alone, 1024],
  ['a buffer would be bound twice', 2, together.with(2, [product, 'x,wv,sv,x']), alone, 1024],
  ['the uniforms are others', 2, together, alone.with(0, [qkv, alone[0]![1], qkvUniforms.with(7, 9)]), 1024],
  ['their weights would be read too often', 4, together, alone, 2 ** 19],
])('products stay as they are if %s', (_, rows, changed, aloneChanged, weightBytes) => {
  const merged = merge(rows, changed, aloneChanged, weightBytes)
  expect(merged.slice(0, 3).map(({ names }) => names)).toEqual(changed.slice(0, 3).map(([names]) => names))
})

it('large weights are read once for each of a few conversations, as ONNX Runtime does', () => {
  expect(merge(2, together, alone, 2 ** 24)).toHaveLength(2)
})

it('a norm and an activation belong to the merged product only if they are connected', () => {
  expect(merge(2, together.with(6, ['gate,up,output', 'gate,other,o']))).toHaveLength(5)
  expect(merge(2, together.with(3, [norm, 'a,r,otherScale,n,sum']))).toHaveLength(5)
})
