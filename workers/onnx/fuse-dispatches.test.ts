import { expect, it, vi } from 'vitest'
import type { CapturedStep, Dispatch } from './dispatch-recorder.js'
import { fuseBatch, fuseDispatches, type FusedModel } from './fuse-dispatches.js'
import { watchPipelines } from './pipeline-names.js'

/* The device is a stand-in, and the dispatches are those of ONNX Runtime 1.30.0, with the names of their buffers. */

const kernels = {
  product: 'a,b,output',
  rotate: 'q_input,k_input,seqlens,cos_cache,sin_cache,q_output,k_output',
  copy: 'key,value,seqlen_k,total_sequence_length_input,present_key,present_value,indirect_buffer',
  pack: 'packed_qkv,seqlens,cos_cache,sin_cache,total_sequence_length_input,query,present_key,present_value,indirect_buffer',
  score:
    'q,present_key,present_value,seqlens_k,total_sequence_length_input,indirect_buffer,out_split_vx,metadata',
  add: 'input,metadata,seqlens_k,output',
}

/** The buffers of each dispatch of a layer, in the order of the names. */
const layer: [kernel: keyof typeof kernels, buffers: string][] = [
  ['product', 'x,w,value'],
  ['rotate', 'query,key,last,cos,sin,rotatedQuery,rotatedKey'],
  ['copy', 'rotatedKey,value,last,total,keys,values,indirect'],
  ['score', 'rotatedQuery,keys,values,last,total,indirect,parts,metadata'],
  ['add', 'parts,metadata,last,output'],
  ['product', 'output,w2,y'],
]

const attention = {
  pastKey: 'past_key_values.0.key',
  heads: 4,
  cacheHeads: 2,
  scale: undefined,
  rotaryWidth: 8,
  isInterleaved: false,
}

const caches = (['key', 'value'] as const).map((part) => ({
  past: `past_key_values.0.${part}`,
  present: `present.0.${part}`,
  type: 'float32' as const,
  heads: 2,
  headSize: 16,
}))

async function fuse(
  dispatches: typeof layer,
  {
    cacheBuffers = ['keys', 'values'],
    ...changed
  }: Partial<FusedModel> & { readonly cacheBuffers?: string[] } = {},
) {
  const groups: string[][] = []
  const written: number[][] = []
  const device = {
    limits: { maxStorageBuffersPerShaderStage: 10 },
    queue: {
      writeBuffer: (_: GPUBuffer, offset: number, words: Uint32Array) =>
        void written.push([offset, ...words]),
    },
    createBuffer: ({ size }: GPUBufferDescriptor) => ({ label: `${size} bytes` }),
    createShaderModule: ({ code }: GPUShaderModuleDescriptor) => ({ code }),
    createComputePipeline: () => ({}),
    createComputePipelineAsync: () => Promise.resolve({ getBindGroupLayout: () => ({}) }),
    createBindGroup: ({ entries }: GPUBindGroupDescriptor) => {
      const bound = [...entries].map(({ resource }) => resource as unknown as { buffer: { label: string } })
      groups.push(bound.map(({ buffer }) => buffer.label))
      return {}
    },
  } as unknown as GPUDevice
  vi.stubGlobal('GPUDevice', { prototype: device })
  watchPipelines(device)
  const buffers = new Map<string, GPUBuffer>()
  const find = (label: string) => {
    if (!buffers.has(label)) buffers.set(label, { label } as GPUBuffer)
    return buffers.get(label)!
  }
  const bindGroups = new Map<GPUBindGroup, GPUBindGroupEntry[]>()
  const recorded = dispatches.map(([kernel, labels]): Dispatch => {
    const code = kernels[kernel]
      .split(',')
      .map((name, binding) => `@group(0) @binding(${binding}) var<storage, read> ${name}: array<f32>;`)
      .join('\n')
    const module = device.createShaderModule({ code })
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } })
    const group = {} as GPUBindGroup
    const entries = labels
      .split(',')
      .map((label, binding) => ({ binding, resource: { buffer: find(label) } }))
    bindGroups.set(group, entries)
    return { pipeline, bindGroups: [group], workgroups: { kind: 'direct', count: [1, 1, 1] } }
  })
  const recording = { bindGroups, dispatches: recorded, uniforms: new Map(), otherCommands: 0 }
  const step: CapturedStep = { capture: recording, replay: recording }
  const model = { attentions: [attention], caches, buffers: cacheBuffers.map(find), ...changed }
  const fused = await fuseDispatches(device, step, model, new Map())
  const batch = (rows = 3) => fuseBatch(device, step, rows, step, model, new Map())
  return { recorded, fused: fused?.dispatches, moveTo: fused?.moveTo, batch, groups, written, find }
}

it('one dispatch computes the attention of as many conversations as there are buffers for their caches', async () => {
  const { recorded, batch, groups, written, find } = await fuse(layer)
  const step = (await batch())!
  groups.length = 0
  const cachesOf = (count: number) =>
    Array.from({ length: count }, (_, row) => [find(`keys of ${row}`), find(`values of ${row}`)])
  const dispatches = step.bind(cachesOf(3))
  expect([dispatches[0], dispatches[3]]).toEqual([recorded[0], recorded[5]])
  expect(dispatches.slice(1, 3).map(({ workgroups }) => workgroups)).toEqual([
    { kind: 'direct', count: [4, 2, 1] },
    { kind: 'direct', count: [4, 1, 1] },
  ])
  const others = ['query', 'key', 'value', '32 bytes']
  expect(groups).toEqual([
    [...others, 'keys of 0', 'values of 0', 'output', 'cos', 'sin', 'keys of 1', 'values of 1'],
    [...others, 'keys of 2', 'values of 2', 'output', 'cos', 'sin', '16 bytes', '16 bytes'],
  ])
  step.writeLengths([5, 6, 7])
  expect(written).toEqual([
    [0, 0, 0, 0, 0, 5, 6, 0, 0],
    [0, 2, 0, 0, 0, 7, 0, 0, 0],
  ])
  // A step of fewer conversations needs fewer dispatches.
  expect(step.bind(cachesOf(2))).toHaveLength(3)
})

it('one dispatch computes as many conversations in each layer, if only some layers rotate', async () => {
  const other = layer
    .map(([kernel, labels]): (typeof layer)[number] => [
      kernel,
      labels.replaceAll(/(keys|values|value|query|key|rotatedQuery|rotatedKey|output)(?=,|$)/g, '$1Other'),
    ])
    .toSpliced(1, 1)
  const past = (name: string) => `past_key_values.1.${name}`
  const { batch, groups, find } = await fuse([...layer, ...other], {
    attentions: [attention, { ...attention, pastKey: past('key') }],
    caches: [...caches, { ...caches[0]!, past: past('key') }, { ...caches[1]!, past: past('value') }],
    cacheBuffers: ['keys', 'values', 'keysOther', 'valuesOther'],
  })
  const step = (await batch(4))!
  groups.length = 0
  const names = ['keys', 'values', 'keysOther', 'valuesOther']
  const cachesOf = (count: number) =>
    Array.from({ length: count }, (_, row) => names.map((name) => find(`${name} of ${row}`)))
  step.bind(cachesOf(3))
  expect(groups.flat()).not.toContain(undefined)
  const counts = [2, 1].map((count) => count * 2)
  expect(groups.map((group) => group.filter((label) => label.includes(' of ')).length)).toEqual([
    ...counts,
    ...counts,
  ])
})

it('conversations have no caches of their own if a dispatch of ONNX Runtime reads the cache', async () => {
  const { batch } = await fuse(layer.with(4, ['product', 'parts,metadata,output']))
  expect(await batch()).toBeUndefined()
})

it('one dispatch replaces the four of an attention, with their buffers', async () => {
  const { recorded, fused, groups } = await fuse(layer)
  expect(fused).toHaveLength(3)
  expect([fused![0], fused![2]]).toEqual([recorded[0], recorded[5]])
  expect(fused![1]!.workgroups).toEqual({ kind: 'direct', count: [4, 1, 1] })
  expect(groups).toEqual([['query', 'key', 'value', 'last', 'keys', 'values', 'output', 'cos', 'sin']])
})

it('a step moves to another cache, with all other buffers', async () => {
  const { fused, moveTo, groups, find } = await fuse(layer)
  const moved = moveTo!([find('moreKeys'), find('moreValues')])!
  expect(groups.at(-1)).toEqual([
    'query',
    'key',
    'value',
    'last',
    'moreKeys',
    'moreValues',
    'output',
    'cos',
    'sin',
  ])
  expect(moved.dispatches.map(({ pipeline }) => pipeline)).toEqual(fused!.map(({ pipeline }) => pipeline))
  moved.moveTo([find('mostKeys'), find('mostValues')])
  expect(groups.at(-1)!.slice(4, 6)).toEqual(['mostKeys', 'mostValues'])
})

it('a step does not move if a dispatch of ONNX Runtime reads the cache', async () => {
  const other = layer.with(2, ['copy', 'rotatedKey,value,last,total,otherKeys,otherValues,indirect'])
  const { moveTo } = await fuse([...layer, ...other], {
    cacheBuffers: ['keys', 'values', 'otherKeys', 'otherValues'],
  })
  expect(moveTo!([])).toBeUndefined()
})

it('one dispatch replaces three if query, key and value are one tensor', async () => {
  const packed = layer.toSpliced(1, 2, ['pack', 'qkv,last,cos,sin,total,rotatedQuery,keys,values,indirect'])
  const { fused, groups } = await fuse(packed)
  expect(fused).toHaveLength(3)
  expect(groups).toEqual([['qkv', 'last', 'keys', 'values', 'output', 'cos', 'sin']])
  const other = packed.with(1, ['pack', 'qkv,last,cos,sin,total,q,keys,values,indirect'])
  expect((await fuse(other)).fused).toBeUndefined()
})

it('one dispatch replaces three if queries and keys are rotated before', async () => {
  const { fused, groups } = await fuse(layer.toSpliced(1, 1))
  expect(fused).toHaveLength(3)
  expect(groups).toEqual([['rotatedQuery', 'rotatedKey', 'value', 'last', 'keys', 'values', 'output']])
})

it.each<[string, typeof layer, Partial<FusedModel>]>([
  ['something else is copied', layer.with(1, ['rotate', 'query,key,last,cos,sin,rotatedQuery,k']), {}],
  ['the output is the buffer of the query', layer.with(4, ['add', 'parts,metadata,last,query']), {}],
  ['the rotary table is unknown', layer, { attentions: [{ ...attention, rotaryWidth: undefined }] }],
  ['the table is wider than a head', layer, { attentions: [{ ...attention, rotaryWidth: 9 }] }],
])('the rotation stays if %s', async (_, dispatches, changed) => {
  const { recorded, fused } = await fuse(dispatches, changed)
  expect(fused).toHaveLength(4)
  expect(fused![1]).toBe(recorded[1])
})

it.each<[string, typeof layer, Partial<FusedModel>]>([
  ['a kernel is unknown', layer.with(4, ['product', 'parts,metadata,output']), {}],
  [
    'another cache is read',
    layer.with(3, ['score', 'rotatedQuery,other,values,last,total,indirect,parts,m']),
    {},
  ],
  ['the added parts are others', layer.with(4, ['add', 'others,metadata,last,output']), {}],
  ['the output is a buffer that is read', layer.with(4, ['add', 'parts,metadata,last,values']), {}],
  ['the layer is unknown', layer, { attentions: [] }],
  ['the heads are not those of the cache', layer, { attentions: [{ ...attention, cacheHeads: 4 }] }],
])('nothing is replaced if %s', async (_, dispatches, changed) => {
  expect((await fuse(dispatches, changed)).fused).toBeUndefined()
})
