/** One GPU dispatch that ONNX Runtime issued. */
interface Dispatch {
  readonly pipeline: GPUComputePipeline
  readonly bindGroups: readonly (GPUBindGroup | null)[]
  readonly workgroups:
    | { readonly kind: 'direct'; readonly count: readonly [x: number, y: number, z: number] }
    | { readonly kind: 'indirect'; readonly buffer: GPUBuffer; readonly offset: number }
}

/** The GPU work of one ONNX Runtime run. */
export interface Recording {
  /** The dispatches, in order. Issuing them again repeats the run with the current contents of its buffers. */
  readonly dispatches: readonly Dispatch[]
  /** The number of bind groups created during the run. If it is 0, the buffers of the run stay valid after the run. */
  readonly createdBindGroups: number
  /** The number of other commands, such as copies, which a replay would omit. */
  readonly otherCommands: number
}

/**
 * Records the dispatches of `run` on `device`. Watches only the objects that the device creates during the run, and
 * restores the methods of the device afterwards.
 */
export async function recordDispatches(device: GPUDevice, run: () => Promise<unknown>): Promise<Recording> {
  const recording = { dispatches: [] as Dispatch[], createdBindGroups: 0, otherCommands: 0 }

  function watchEncoder(encoder: GPUCommandEncoder): GPUCommandEncoder {
    const { beginComputePass } = encoder
    encoder.beginComputePass = (descriptor) => {
      const pass = beginComputePass.call(encoder, descriptor)
      watchPass(pass, (dispatch) => recording.dispatches.push(dispatch))
      return pass
    }
    for (const name of ['copyBufferToBuffer', 'clearBuffer', 'resolveQuerySet'] as const) {
      countCalls(encoder, name, () => (recording.otherCommands += 1))
    }
    return encoder
  }

  const { createCommandEncoder } = device
  device.createCommandEncoder = (descriptor) => watchEncoder(createCommandEncoder.call(device, descriptor))
  countCalls(device, 'createBindGroup', () => (recording.createdBindGroups += 1))
  try {
    await run()
    return recording
  } finally {
    // Removes the wrappers, so that the methods of the prototype are used again.
    Reflect.deleteProperty(device, 'createCommandEncoder')
    Reflect.deleteProperty(device, 'createBindGroup')
  }
}

function watchPass(pass: GPUComputePassEncoder, onDispatch: (dispatch: Dispatch) => void): void {
  const { setPipeline, setBindGroup, dispatchWorkgroups, dispatchWorkgroupsIndirect } = pass
  const bindGroups: (GPUBindGroup | null)[] = []
  let pipeline: GPUComputePipeline | undefined
  const record = (workgroups: Dispatch['workgroups']) => {
    if (pipeline) onDispatch({ pipeline, bindGroups: [...bindGroups], workgroups })
  }
  pass.setPipeline = (next) => {
    pipeline = next
    setPipeline.call(pass, next)
  }
  // The two overloads differ only in dynamic offsets, which ONNX Runtime's kernels do not use.
  pass.setBindGroup = (index: number, group: GPUBindGroup | null) => {
    bindGroups[index] = group
    setBindGroup.call(pass, index, group)
  }
  pass.dispatchWorkgroups = (x, y = 1, z = 1) => {
    record({ kind: 'direct', count: [x, y, z] })
    dispatchWorkgroups.call(pass, x, y, z)
  }
  pass.dispatchWorkgroupsIndirect = (buffer, offset) => {
    record({ kind: 'indirect', buffer, offset })
    dispatchWorkgroupsIndirect.call(pass, buffer, offset)
  }
}

function countCalls<Name extends string>(
  target: Record<Name, (...args: never[]) => unknown>,
  name: Name,
  onCall: () => void,
): void {
  const original = target[name]
  Object.defineProperty(target, name, {
    configurable: true,
    value(...args: never[]) {
      onCall()
      return original.apply(target, args)
    },
  })
}

/** Issues the recorded dispatches in an open pass, without ONNX Runtime and without new bind groups. */
export function replayDispatches(pass: GPUComputePassEncoder, { dispatches }: Recording): void {
  let pipeline: GPUComputePipeline | undefined
  for (const dispatch of dispatches) {
    if (dispatch.pipeline !== pipeline) {
      pipeline = dispatch.pipeline
      pass.setPipeline(pipeline)
    }
    for (const [index, group] of dispatch.bindGroups.entries()) pass.setBindGroup(index, group)
    const { workgroups } = dispatch
    if (workgroups.kind === 'direct') pass.dispatchWorkgroups(...workgroups.count)
    else pass.dispatchWorkgroupsIndirect(workgroups.buffer, workgroups.offset)
  }
}
