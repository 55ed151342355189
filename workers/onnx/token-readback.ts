import { noToken } from './sampler-arithmetic.js'
import { bufferUsage, mapMode } from './webgpu-flags.js'

/** Creates a buffer to read back one token id at a time from the GPU. */
export function createReadback(device: GPUDevice): GPUBuffer {
  return device.createBuffer({ size: 8, usage: bufferUsage.mapRead | bufferUsage.copyTarget })
}

/** Reads the token id, or `noToken`, after all work submitted so far has run. */
export async function readToken(readback: GPUBuffer): Promise<number> {
  await readback.mapAsync(mapMode.read)
  const [id = noToken] = new Uint32Array(readback.getMappedRange())
  readback.unmap()
  return id
}
