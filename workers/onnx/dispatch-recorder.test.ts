import { expect, it } from 'vitest'
import { findCaptureDifference, recordDispatches, type CapturedStep } from './dispatch-recorder.js'
import { bufferUsage } from './webgpu-flags.js'

/* ONNX Runtime and the device are stand-ins: a step of two dispatches, whose host values a test chooses. */

interface StepValues {
  readonly workgroups?: number
  readonly uniform?: readonly number[] | 'unwritten'
  readonly scoreBytes?: number
  readonly pipeline?: GPUComputePipeline
  readonly dispatches?: number
}

const pipelines = [{}, {}] as GPUComputePipeline[]

function createStandInDevice(): GPUDevice {
  const pass = {
    setPipeline() {},
    setBindGroup() {},
    dispatchWorkgroups() {},
    dispatchWorkgroupsIndirect() {},
    end() {},
  }
  class StandInDevice {
    readonly queue = new (class {
      writeBuffer() {}
    })()
    createBindGroup() {
      return {}
    }
    createCommandEncoder() {
      return {
        beginComputePass: () => ({ ...pass }),
        copyBufferToBuffer() {},
        clearBuffer() {},
        resolveQuerySet() {},
      }
    }
  }
  return new StandInDevice() as unknown as GPUDevice
}

/** Captures a step, and records its replay. */
async function captureStep({
  workgroups = 4,
  uniform = [1, 64],
  scoreBytes = 256,
  pipeline = pipelines[1]!,
  dispatches = 2,
}: StepValues): Promise<CapturedStep> {
  const device = createStandInDevice()
  const groups: GPUBindGroup[] = []
  const issue = () => {
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    for (const [index, group] of groups.entries()) {
      pass.setPipeline(index === 0 ? pipelines[0]! : pipeline)
      pass.setBindGroup(0, group)
      pass.dispatchWorkgroups(index === 0 ? 1 : workgroups)
    }
    return Promise.resolve()
  }
  const capture = await recordDispatches(device, () => {
    for (let index = 0; index < dispatches; index += 1) {
      const scores = { size: scoreBytes, usage: bufferUsage.storage } as GPUBuffer
      const settings = { size: 16, usage: bufferUsage.uniform | bufferUsage.copyTarget } as GPUBuffer
      if (uniform !== 'unwritten') device.queue.writeBuffer(settings, 0, Uint32Array.from(uniform))
      const entries = [scores, settings].map((buffer, binding) => ({ binding, resource: { buffer } }))
      groups.push(device.createBindGroup({ layout: {} as GPUBindGroupLayout, entries }))
    }
    return issue()
  })
  return { capture, replay: await recordDispatches(device, issue) }
}

it('two captures with equal host values are equal, although their buffers differ', async () => {
  expect(findCaptureDifference(await captureStep({}), await captureStep({}))).toBeUndefined()
})

it.each<[string, StepValues]>([
  ['the workgroups of dispatch 1', { workgroups: 5 }],
  ['the uniforms of dispatch 0', { uniform: [2, 64] }],
  ['the bindings of dispatch 0', { scoreBytes: 512 }],
  ['the pipeline of dispatch 1', { pipeline: {} as GPUComputePipeline }],
  ['2 and 1 dispatches', { dispatches: 1 }],
  ['the unknown uniforms of dispatch 0', { uniform: 'unwritten' }],
])('a value that depends on the length is found: %s', async (difference, values) => {
  expect(findCaptureDifference(await captureStep({}), await captureStep(values))).toBe(difference)
})

it('a recording does not leave its wrappers on the device', async () => {
  const device = createStandInDevice()
  await recordDispatches(device, () => Promise.resolve())
  expect(Object.keys(device)).toEqual(['queue'])
  expect(Object.keys(device.queue)).toEqual([])
})

it('only the written part of a typed array is recorded', async () => {
  const device = createStandInDevice()
  const buffer = { size: 16, usage: bufferUsage.uniform } as GPUBuffer
  const { uniforms } = await recordDispatches(device, () => {
    device.queue.writeBuffer(buffer, 0, Uint32Array.of(7, 8, 9), 1, 1)
    return Promise.resolve()
  })
  expect(uniforms.get(buffer)).toEqual(new Uint8Array(Uint32Array.of(8).buffer))
})
