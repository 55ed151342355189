import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createGpuDevice } from './gpu-device.js'
import { findPool, type PipelineRecipe } from './pipeline-pool.js'

/** A device with one function that creates a pipeline as ONNX Runtime does, and one as the sampler does. */
function useDevice(device: GPUDevice) {
  const describe = (value: number): GPUComputePipelineDescriptor => ({
    layout: 'auto',
    compute: {
      module: device.createShaderModule({
        code: `@group(0) @binding(0) var<storage, read_write> x : array<f32>;
@compute @workgroup_size(1) fn main() { x[0] = ${value}.0; }`,
      }),
      entryPoint: 'main',
    },
  })
  return {
    createAsync: (value: number) => device.createComputePipelineAsync(describe(value)),
    create: (value: number) => device.createComputePipeline(describe(value)),
  }
}

let compiled: ReturnType<typeof vi.spyOn>
beforeEach(() => {
  compiled = vi.spyOn(GPUDevice.prototype, 'createComputePipelineAsync')
})
afterEach(() => vi.restoreAllMocks())

it('a pipeline that is created twice is compiled once', async () => {
  const device = await createGpuDevice()
  const { createAsync, create } = useDevice(device)
  const [one, same, other] = await Promise.all([createAsync(1), createAsync(1), createAsync(2)])
  expect(one).toBe(same)
  expect(one).not.toBe(other)
  expect(create(1)).toBe(one)
  expect(compiled).toHaveBeenCalledTimes(2)
  device.destroy()
})

it('the shaders that one device used are compiled ahead on another', async () => {
  const device = await createGpuDevice()
  await useDevice(device).createAsync(1)
  useDevice(device).create(2)
  // As stored.
  const recipes = JSON.parse(JSON.stringify(findPool(device)!.used)) as PipelineRecipe[]
  device.destroy()
  compiled.mockClear()

  const next = await createGpuDevice()
  void findPool(next)!.compile(recipes)
  await findPool(next)!.waitFor(['main'])
  expect(compiled).toHaveBeenCalledTimes(2)
  const created = vi.spyOn(GPUDevice.prototype, 'createComputePipeline')
  const { createAsync, create } = useDevice(next)
  await createAsync(1)
  create(2)
  expect(compiled).toHaveBeenCalledTimes(2)
  expect(created).not.toHaveBeenCalled()
  next.destroy()
})

it('a recorded shader that is invalid is ignored', async () => {
  const device = await createGpuDevice()
  const onError = vi.fn()
  device.addEventListener('uncapturederror', onError)
  const invalid = { code: 'not WGSL', entryPoint: 'main', constants: undefined, groups: undefined }
  await findPool(device)!.compile([invalid])
  await device.queue.onSubmittedWorkDone()
  expect(onError).not.toHaveBeenCalled()
  device.destroy()
})
