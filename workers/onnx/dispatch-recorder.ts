import { bufferUsage } from './webgpu-flags.js'

/** One GPU dispatch that ONNX Runtime issued. */
export interface Dispatch {
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
  /** The bind groups created during the run. If there are none, the buffers of the run stay valid after the run. */
  readonly bindGroups: ReadonlyMap<GPUBindGroup, readonly GPUBindGroupEntry[]>
  /** The bytes that the host wrote during the run into each uniform buffer: the last write. */
  readonly uniforms: ReadonlyMap<GPUBuffer, Uint8Array>
  /** The number of other commands, such as copies, which a replay would omit. */
  readonly otherCommands: number
}

/** A decode step that ONNX Runtime captured: the run that captured the step, and the recorded run that a replay repeats. */
export interface CapturedStep {
  readonly capture: Recording
  readonly replay: Recording
}

/**
 * Records the dispatches of `run` on `device`. Watches only the objects that the device creates during the run, and
 * restores the methods of the device afterwards.
 */
export async function recordDispatches(device: GPUDevice, run: () => Promise<unknown>): Promise<Recording> {
  const recording = {
    dispatches: [] as Dispatch[],
    bindGroups: new Map<GPUBindGroup, readonly GPUBindGroupEntry[]>(),
    uniforms: new Map<GPUBuffer, Uint8Array>(),
    otherCommands: 0,
  }

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

  const { queue, createCommandEncoder, createBindGroup } = device
  const ownEncoder = Object.getOwnPropertyDescriptor(device, 'createCommandEncoder')
  const { writeBuffer } = queue
  device.createCommandEncoder = (descriptor) => watchEncoder(createCommandEncoder.call(device, descriptor))
  device.createBindGroup = (descriptor) => {
    const group = createBindGroup.call(device, descriptor)
    recording.bindGroups.set(group, [...descriptor.entries])
    return group
  }
  queue.writeBuffer = (buffer, offset, data, ...range) => {
    if (buffer.usage & bufferUsage.uniform) recording.uniforms.set(buffer, copyWritten(data, ...range))
    writeBuffer.call(queue, buffer, offset, data, ...range)
  }
  try {
    await run()
    return recording
  } finally {
    // Removes the wrappers, so that the methods of the prototype are used again, or the one of `leaveOutPoolClears`.
    Reflect.deleteProperty(device, 'createCommandEncoder')
    if (ownEncoder) Object.defineProperty(device, 'createCommandEncoder', ownEncoder)
    Reflect.deleteProperty(device, 'createBindGroup')
    Reflect.deleteProperty(queue, 'writeBuffer')
  }
}

/** Copies the bytes that a call of `writeBuffer` writes. The start and the size count elements of a typed array, or bytes. */
function copyWritten(data: AllowSharedBufferSource, start = 0, size?: number): Uint8Array {
  const elementBytes = 'BYTES_PER_ELEMENT' in data ? Number(data.BYTES_PER_ELEMENT) : 1
  const bytes = ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data)
  const end = size === undefined ? undefined : (start + size) * elementBytes
  return bytes.slice(start * elementBytes, end)
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

/**
 * Compares two captures of a decode step at different lengths. If they are equal, the host computes nothing from the length
 * that a replay would repeat: the same pipelines run with the same workgroup counts, uniforms and sizes of bound buffers.
 * @returns the first difference, as a phrase; undefined if there is none
 */
export function findCaptureDifference(one: CapturedStep, other: CapturedStep): string | undefined {
  const [first, second] = [one.replay.dispatches, other.replay.dispatches]
  if (first.length !== second.length) return `${first.length} and ${second.length} dispatches`
  for (const [index, dispatch] of first.entries()) {
    if (dispatch.pipeline !== second[index]!.pipeline) return `the pipeline of dispatch ${index}`
    const [left, right] = [describeHostValues(one, dispatch), describeHostValues(other, second[index]!)]
    if (!left.isComplete || !right.isComplete) return `the unknown uniforms of dispatch ${index}`
    const name = (['workgroups', 'uniforms', 'bindings'] as const).find((key) => left[key] !== right[key])
    if (name) return `the ${name} of dispatch ${index}`
  }
  return undefined
}

/** Describes the values that the host gives a dispatch. The buffers themselves differ from capture to capture. */
function describeHostValues({ capture }: CapturedStep, { bindGroups, workgroups }: Dispatch) {
  const entries = bindGroups.flatMap((group) =>
    group ? [...(capture.bindGroups.get(group) ?? [undefined])] : [],
  )
  const bindings = entries.map((entry) => {
    const resource = entry?.resource
    return resource && 'buffer' in resource ? resource : undefined
  })
  const uniforms = bindings.flatMap((binding) =>
    binding && binding.buffer.usage & bufferUsage.uniform ? [capture.uniforms.get(binding.buffer)] : [],
  )
  return {
    /** False if the capture created a bind group, or wrote a uniform buffer, in a way that was not seen. */
    isComplete: !bindings.includes(undefined) && !uniforms.includes(undefined),
    workgroups: workgroups.kind === 'direct' ? workgroups.count.join() : `indirect ${workgroups.offset}`,
    uniforms: uniforms.join(';'),
    bindings: bindings
      .map((binding) => [binding?.buffer.size, binding?.offset ?? 0, binding?.size].join())
      .join(';'),
  }
}

/** Issues the recorded dispatches in an open pass, without ONNX Runtime and without new bind groups. */
export function replayDispatches(pass: GPUComputePassEncoder, dispatches: readonly Dispatch[]): void {
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
