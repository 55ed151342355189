import { create, toBinary } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { RivuletError } from '../../lib/contract/errors.js'
import type { OpenFile } from '../store/readable-file.js'
import type { ExternalData } from './external-data.js'
import { referToFile } from './external-tensor.js'
import { createGpuDevice } from './gpu-device.js'
import { ModelProtoSchema, TensorProtoSchema } from './onnx_pb.js'
import { createSession, loadOnnxRuntime, type SessionTarget } from './session.js'
import { tensorTypes } from './tensor-types.js'

/*
 * Runs a model whose weights are in an external file in ONNX Runtime: y = a · weight + bias, z = table[id]. On a GPU, the table stays
 * on the CPU, since it has 64-bit integers.
 */

const size = 601
const tableLength = 200_000
const bias = Float32Array.from({ length: size }, (_, index) => index)
const weight = Float32Array.from({ length: size * size }, (_, index) => Math.fround(Math.sin(index)))
const table = BigInt64Array.from({ length: tableLength }, (_, index) => BigInt(index) * 3n)
/** The sizes of the first two are not multiples of 16, and the last two are larger than a piece. */
const places = [
  ['bias', bias, [size], tensorTypes.float32],
  ['weight', weight, [size, size], tensorTypes.float32],
  ['table', table, [tableLength], tensorTypes.int64],
] as const

let end = 0
const tensors = places.map(([name, { byteLength }, dims, dataType]) => {
  const tensor = create(TensorProtoSchema, { name, dims: dims.map(BigInt), dataType })
  end += byteLength
  return referToFile(tensor, { location: 'weights', offset: end - byteLength, length: byteLength })
})
const content = new Uint8Array(end)
for (const [index, [, { buffer, byteLength }]] of places.entries()) {
  const before = places.slice(0, index).reduce((sum, [, values]) => sum + values.byteLength, 0)
  content.set(new Uint8Array(buffer, 0, byteLength), before)
}

const describeValue = (name: string, elemType: number, dims: readonly number[]) => ({
  name,
  type: {
    value: {
      case: 'tensorType' as const,
      value: {
        elemType,
        shape: {
          dim: dims.map((length) => ({ value: { case: 'dimValue' as const, value: BigInt(length) } })),
        },
      },
    },
  },
})

const model = create(ModelProtoSchema, {
  opsetImport: [{ domain: '', version: 21n }],
  graph: {
    initializer: tensors,
    node: [
      { opType: 'MatMul', input: ['a', 'weight'], output: ['product'] },
      { opType: 'Add', input: ['product', 'bias'], output: ['y'] },
      { opType: 'Gather', input: ['table', 'id'], output: ['z'] },
    ],
    input: [describeValue('a', tensorTypes.float32, [1, size]), describeValue('id', tensorTypes.int64, [1])],
    output: [describeValue('y', tensorTypes.float32, [1, size]), describeValue('z', tensorTypes.int64, [1])],
  },
})
// A field that onnx.proto here does not declare: ir_version 10.
model.$unknown = [{ no: 1, wireType: 0, data: Uint8Array.of(10) }]
const graph = toBinary(ModelProtoSchema, model)

const a = Float32Array.from({ length: size }, (_, index) => Math.cos(index))
const expected = Float32Array.from({ length: size }, (_, column) =>
  a.reduce((sum, value, row) => sum + value * weight[row * size + column]!, bias[column]!),
)

/** An open file. Lists the sizes of its reads. */
function openContent() {
  const reads: number[] = []
  const data: OpenFile = {
    byteLength: content.length,
    readInto(target, at) {
      reads.push(target.length)
      target.set(content.subarray(at, at + target.length))
    },
  }
  return { data, reads }
}

async function createTarget(kind: SessionTarget['kind']): Promise<SessionTarget> {
  return kind === 'wasm' ? { kind } : { kind, device: await createGpuDevice(), graphCapture: false }
}

async function run(target: SessionTarget, data: ExternalData) {
  const runtime = await loadOnnxRuntime(target.kind)
  const session = await createSession(runtime, target, { graph, externalData: [{ path: 'weights', data }] })
  const { y, z } = await session.run({
    a: new runtime.Tensor('float32', a, [1, size]),
    id: new runtime.Tensor('int64', [123_456n], [1]),
  })
  const results = { y: (await y!.getData()) as Float32Array, z: (await z!.getData()) as BigInt64Array }
  await session.release()
  return results
}

describe.each(['wasm', 'webgpu'] as const)('weights in an external file on %s', (kind) => {
  it.each(['an open file', 'memory'])('are those of the file: from %s', async (source) => {
    const target = await createTarget(kind)
    const { data, reads } = openContent()
    const mapped: number[] = []
    if (target.kind === 'webgpu') {
      const createBuffer = target.device.createBuffer.bind(target.device)
      target.device.createBuffer = (descriptor) => {
        if (descriptor.mappedAtCreation) mapped.push(descriptor.size)
        return createBuffer(descriptor)
      }
    }
    const { y, z } = await run(target, source === 'memory' ? content : data)
    expect(Math.max(...y.map((value, index) => Math.abs(value - expected[index]!)))).toBeLessThan(1e-3)
    expect(z).toEqual(BigInt64Array.of(370_368n))
    // No weight is read twice, and none goes through a mapped buffer: only the inputs of the run do.
    const sum = reads.reduce((total, bytes) => total + bytes, 0)
    expect(sum).toBe(source === 'memory' ? 0 : content.length)
    expect(mapped.filter((bytes) => bytes > a.byteLength)).toEqual([])
    if (kind === 'webgpu' && source !== 'memory')
      expect(reads).toEqual(expect.arrayContaining([2 ** 20, weight.byteLength - 2 ** 20]))
  })

  it('that cannot be read fail the session with the error of the read', async () => {
    const data: OpenFile = {
      byteLength: content.length,
      readInto() {
        throw new RivuletError('download-failed', 'The file was changed.')
      },
    }
    await expect(run(await createTarget(kind), data)).rejects.toMatchObject({
      code: 'download-failed',
      message: 'The file was changed.',
    })
  })
})
