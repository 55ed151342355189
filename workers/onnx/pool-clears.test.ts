import { create } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { recordDispatches } from './dispatch-recorder.js'
import { createNode } from './graph-edit.js'
import { GraphProtoSchema, ModelProtoSchema } from './onnx_pb.js'
import { leaveOutPoolClears, needsPoolClears } from './pool-clears.js'

function createModel(operators: readonly string[]) {
  const node = operators.map((name) => createNode(name, [], []))
  return create(ModelProtoSchema, { graph: create(GraphProtoSchema, { node }) })
}

describe('the buffers of the pool', () => {
  it.each([
    ['need not be zero for the operators of a decoder', ['MatMulNBits', 'GroupQueryAttention', 'Add'], false],
    ['must be zero for an operator that adds to its output', ['MatMulNBits', 'QMoE'], true],
    ['must be zero for an unknown operator', ['Add', 'ScatterElements'], true],
  ])('%s', (_, operators, expected) => {
    expect(needsPoolClears(createModel(operators))).toBe(expected)
  })

  it('must be zero for a file without a graph', () => {
    expect(needsPoolClears(create(ModelProtoSchema))).toBe(true)
  })
})

it('a device leaves out the clears, also after a run was recorded', async () => {
  let clears = 0
  // A stand-in. `recordDispatches` uses methods of the prototype.
  class StandInDevice {
    readonly queue = { writeBuffer() {} }
    createBindGroup() {
      return {}
    }
    createCommandEncoder() {
      return { copyBufferToBuffer() {}, resolveQuerySet() {}, clearBuffer: () => (clears += 1) }
    }
  }
  const device = new StandInDevice() as unknown as GPUDevice
  const clear = () => device.createCommandEncoder().clearBuffer({} as GPUBuffer)
  clear()
  expect(clears).toBe(1)
  leaveOutPoolClears(device)
  clear()
  const { otherCommands } = await recordDispatches(device, async () => clear())
  expect(otherCommands).toBe(1)
  clear()
  expect(clears).toBe(1)
})
