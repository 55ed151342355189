import { expect, it } from 'vitest'
import { createGpuDevice } from './gpu-device.js'
import { bufferUsage, mapMode } from './webgpu-flags.js'

/** Adds up in a variable that is declared in a loop. With the zero that WGSL requires, each result is 1. */
const code = `
@group(0) @binding(0) var<storage, read_write> sums : array<f32>;
@compute @workgroup_size(1)
fn main() {
  for (var i = 0u; i < arrayLength(&sums); i += 1u) {
    var sum : vec4<f32>;
    sum[1] += 1;
    sums[i] = sum[1];
  }
}`

it('a variable that is declared in a loop starts at zero in each iteration', async () => {
  const device = await createGpuDevice()
  const { storage, copySource, copyTarget, mapRead } = bufferUsage
  const sums = device.createBuffer({ size: 16, usage: storage | copySource })
  const readback = device.createBuffer({ size: 16, usage: copyTarget | mapRead })
  const module = device.createShaderModule({ code })
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } })
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  pass.setPipeline(pipeline)
  const entries = [{ binding: 0, resource: { buffer: sums } }]
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }))
  pass.dispatchWorkgroups(1)
  pass.end()
  encoder.copyBufferToBuffer(sums, 0, readback, 0, 16)
  device.queue.submit([encoder.finish()])
  await readback.mapAsync(mapMode.read)
  expect([...new Float32Array(readback.getMappedRange())]).toEqual([1, 1, 1, 1])
  device.destroy()
})
