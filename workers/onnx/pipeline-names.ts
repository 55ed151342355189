/** The names of the storage buffers of a shader, by their binding. */
export type BindingNames = ReadonlyMap<number, string>

/** Matches the declaration of a storage buffer in the group 0, which is the only one of ONNX Runtime's kernels. */
const storageDeclaration = /@group\(0\)\s*@binding\((\d+)\)\s*var<storage[^>]*>\s*(\w+)/g

const namesOf = new WeakMap<GPUComputePipeline, BindingNames>()

/** Watches which shader each compute pipeline of `device` is created from, so that `readBindingNames` knows it. */
export function watchPipelines(device: GPUDevice): void {
  const codes = new WeakMap<GPUShaderModule, string>()
  const createShaderModule = device.createShaderModule.bind(device)
  const createComputePipeline = device.createComputePipeline.bind(device)
  const createComputePipelineAsync = device.createComputePipelineAsync.bind(device)

  function note(pipeline: GPUComputePipeline, { compute }: GPUComputePipelineDescriptor): GPUComputePipeline {
    namesOf.set(pipeline, parseBindings(codes.get(compute.module) ?? ''))
    return pipeline
  }

  device.createShaderModule = (descriptor) => {
    const module = createShaderModule(descriptor)
    codes.set(module, descriptor.code)
    return module
  }
  device.createComputePipeline = (descriptor) => note(createComputePipeline(descriptor), descriptor)
  device.createComputePipelineAsync = async (descriptor) =>
    note(await createComputePipelineAsync(descriptor), descriptor)
}

function parseBindings(code: string): BindingNames {
  return new Map(
    Array.from(code.matchAll(storageDeclaration), ([, binding, name]) => [Number(binding), name!]),
  )
}

/** Returns the names of the storage buffers in the shader of a pipeline; undefined if the pipeline was not watched. */
export function readBindingNames(pipeline: GPUComputePipeline): BindingNames | undefined {
  return namesOf.get(pipeline)
}
