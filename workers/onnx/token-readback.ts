import { noToken } from './sampler-arithmetic.js'
import { bufferUsage, mapMode } from './webgpu-flags.js'

/** Takes a token id from the GPU, one at a time. */
export function createReadback(device: GPUDevice): GPUBuffer {
  return device.createBuffer({ size: 8, usage: bufferUsage.mapRead | bufferUsage.copyTarget })
}

/** @returns the id, or `noToken`, once what was submitted before has written it */
export async function readToken(readback: GPUBuffer): Promise<number> {
  await readback.mapAsync(mapMode.read)
  const [id = noToken] = new Uint32Array(readback.getMappedRange())
  readback.unmap()
  return id
}
