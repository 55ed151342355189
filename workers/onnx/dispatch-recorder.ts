/** One dispatch as ONNX Runtime issued it. */
interface Dispatch {
  readonly pipeline: GPUComputePipeline
  readonly bindGroups: readonly (GPUBindGroup | null)[]
  readonly workgroups:
    | { readonly kind: 'direct'; readonly count: readonly [x: number, y: number, z: number] }
    | { readonly kind: 'indirect'; readonly buffer: GPUBuffer; readonly offset: number }
}

/** What a run did on its device. */
export interface Recording {
  /** In order: issued again they compute the same run on what the buffers hold then. */
  readonly dispatches: readonly Dispatch[]
  /** Bind groups made during the run: none means that the buffers of the run outlive it. */
  readonly bindGroupsMade: number
  /** Commands that are no dispatches, and that a replay would leave out. */
  readonly otherCommands: number
}

/**
 * Notes what `run` does on `device`. Only objects that come from this device while it runs are watched,
 * and the device is as before when this returns.
 */
export async function recordDispatches(device: GPUDevice, run: () => Promise<unknown>): Promise<Recording> {
  const recording = { dispatches: [] as Dispatch[], bindGroupsMade: 0, otherCommands: 0 }

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
  countCalls(device, 'createBindGroup', () => (recording.bindGroupsMade += 1))
  try {
    await run()
    return recording
  } finally {
    // The methods of the prototype come to light again.
    Reflect.deleteProperty(device, 'createCommandEncoder')
    Reflect.deleteProperty(device, 'createBindGroup')
  }
}

function watchPass(pass: GPUComputePassEncoder, onDispatch: (dispatch: Dispatch) => void): void {
  const { setPipeline, setBindGroup, dispatchWorkgroups, dispatchWorkgroupsIndirect } = pass
  const bindGroups: (GPUBindGroup | null)[] = []
  let pipeline: GPUComputePipeline | undefined
  const note = (workgroups: Dispatch['workgroups']) => {
    if (pipeline) onDispatch({ pipeline, bindGroups: [...bindGroups], workgroups })
  }
  pass.setPipeline = (next) => {
    pipeline = next
    setPipeline.call(pass, next)
  }
  // ONNX Runtime's kernels have no dynamic offsets; the two overloads differ in these only.
  pass.setBindGroup = (index: number, group: GPUBindGroup | null) => {
    bindGroups[index] = group
    setBindGroup.call(pass, index, group)
  }
  pass.dispatchWorkgroups = (x, y = 1, z = 1) => {
    note({ kind: 'direct', count: [x, y, z] })
    dispatchWorkgroups.call(pass, x, y, z)
  }
  pass.dispatchWorkgroupsIndirect = (buffer, offset) => {
    note({ kind: 'indirect', buffer, offset })
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

/** Issues a recording's dispatches in an open pass: no bind group is made, and nothing of ONNX Runtime runs. */
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
