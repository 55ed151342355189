import { describe, expect, it } from 'vitest'
import type { ModelInfo } from './contract/worker-api.js'
import { allSupport } from './model-support.test-support.js'
import { createTranscript } from './transcript.js'

const describeModel = (backend: string, device: ModelInfo['device'] = 'wasm'): ModelInfo => ({
  model: `model of ${backend}`,
  backend,
  device,
  deviceDescription: '',
  dtype: undefined,
  host: 'tab',
  execution: 'growing-cache',
  warnings: [],
  contextLength: undefined,
  supports: allSupport,
})

const token = (text: string, id?: number) => ({
  text,
  tokenIds: id === undefined ? [] : [id],
  tokenCount: 1,
})

describe('a transcript', () => {
  it('of one model is one part, whatever device it is moved to', () => {
    const transcript = createTranscript()
    transcript.setWriter(describeModel('onnx', 'webgpu'))
    transcript.add(token('Once', 5))
    transcript.setWriter(describeModel('onnx', 'webgpu'))
    transcript.add(token(' upon', 6))
    transcript.setWriter(describeModel('onnx', 'wasm'))
    transcript.add(token(' a', 7))
    expect(transcript.parts).toEqual([
      {
        backend: 'onnx',
        model: 'model of onnx',
        device: 'webgpu',
        deviceDescription: '',
        text: 'Once upon',
        tokens: 2,
      },
      {
        backend: 'onnx',
        model: 'model of onnx',
        device: 'wasm',
        deviceDescription: '',
        text: ' a',
        tokens: 1,
      },
    ])
    expect(transcript.resumeFor(describeModel('onnx'))).toEqual({
      handedOver: { text: '', tokens: 0 },
      generated: { text: 'Once upon a', tokens: 3, tokenIds: [5, 6, 7] },
    })
  })

  it('tells another model its text alone, and later what that one said itself', () => {
    const transcript = createTranscript()
    transcript.setWriter(describeModel('onnx'))
    transcript.add(token('Once', 5))
    expect(transcript.resumeFor(describeModel('llama-cpp'))).toEqual({
      handedOver: { text: 'Once', tokens: 1 },
      generated: { text: '', tokens: 0, tokenIds: [] },
    })
    transcript.setWriter(describeModel('llama-cpp'))
    transcript.add(token(' upon'))
    expect(transcript.resumeFor(describeModel('llama-cpp'))).toEqual({
      handedOver: { text: 'Once', tokens: 1 },
      generated: { text: ' upon', tokens: 1, tokenIds: [] },
    })
    // Back at the first, whose own tokens are no longer the last ones.
    expect(transcript.resumeFor(describeModel('onnx'))).toMatchObject({
      handedOver: { text: 'Once upon', tokens: 2 },
      generated: { tokenIds: [] },
    })
    expect(transcript).toMatchObject({ text: 'Once upon', tokens: 2 })
  })

  it('of nothing has no parts, and tells nothing', () => {
    const transcript = createTranscript()
    expect(transcript.parts).toEqual([])
    expect(transcript.resumeFor(describeModel('onnx'))).toBeUndefined()
  })
})
