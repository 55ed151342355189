import { createOwnEncoder } from './own-encoder.js'
import { bufferUsage, mapMode } from './webgpu-flags.js'

/** Creates a buffer to read back the words of one step at a time from the GPU. @param size in bytes */
export function createReadback(device: GPUDevice, size: number): GPUBuffer {
  return device.createBuffer({ size, usage: bufferUsage.mapRead | bufferUsage.copyTarget })
}

/** Reads the first `size` bytes after all work submitted so far has run. */
export async function readWords(readback: GPUBuffer, size: number): Promise<Uint32Array<ArrayBuffer>> {
  await readback.mapAsync(mapMode.read, 0, size)
  const words = new Uint32Array(readback.getMappedRange(0, size)).slice()
  readback.unmap()
  return words
}

/** Reads the first `size` bytes of a buffer. */
export async function readBuffer(
  device: GPUDevice,
  buffer: GPUBuffer,
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const readback = createReadback(device, Math.ceil(size / 4) * 4)
  try {
    const encoder = createOwnEncoder(device)
    encoder.copyBufferToBuffer(buffer, 0, readback, 0, readback.size)
    device.queue.submit([encoder.finish()])
    await readback.mapAsync(mapMode.read)
    return new Uint8Array(readback.getMappedRange(), 0, size).slice()
  } finally {
    readback.destroy()
  }
}
