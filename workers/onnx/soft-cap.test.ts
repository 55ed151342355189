import { create } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { createNode } from './graph-edit.js'
import { GraphProtoSchema, ModelProtoSchema } from './onnx_pb.js'
import { refuseSoftCap } from './soft-cap.js'

function createModel(softcap: number) {
  const node = [createNode('GroupQueryAttention', [], [], { softcap }, 'com.microsoft')]
  return create(ModelProtoSchema, { graph: create(GraphProtoSchema, { node }) })
}

describe('a model whose attention has a soft cap', () => {
  it('is refused on WebGPU, where ONNX Runtime ignores the cap', () => {
    expect(() => refuseSoftCap(createModel(50), 'webgpu')).toThrow(
      expect.objectContaining({ code: 'backend-unavailable' }),
    )
  })

  it('runs on WASM', () => {
    expect(() => refuseSoftCap(createModel(50), 'wasm')).not.toThrow()
  })

  it('runs on WebGPU if the cap is 0, which means none', () => {
    expect(() => refuseSoftCap(createModel(0), 'webgpu')).not.toThrow()
  })
})
