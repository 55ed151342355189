const bufferUsage = { copySource: 4, copyDestination: 8 } // `GPUBufferUsage` (WebGPU, 5.1.2)
const wantedBytes = 2 ** 29
const copies = 20

/** Measures the bytes per second, read and written, of copies between two large buffers. */
export async function measureBandwidth(): Promise<number> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) throw new Error('This browser has no GPU adapter.')
  const maxBufferSize = Math.min(wantedBytes, adapter.limits.maxBufferSize)
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize } })
  try {
    const [from, to] = [0, 1].map(() =>
      device.createBuffer({
        size: maxBufferSize,
        usage: bufferUsage.copySource | bufferUsage.copyDestination,
      }),
    )
    const copy = async (times: number) => {
      const startMs = performance.now()
      for (let count = 0; count < times; count++) {
        const encoder = device.createCommandEncoder()
        encoder.copyBufferToBuffer(from!, 0, to!, 0, maxBufferSize)
        device.queue.submit([encoder.finish()])
      }
      await device.queue.onSubmittedWorkDone()
      return performance.now() - startMs
    }
    await copy(2)
    // The difference removes the time until the page hears of the end.
    const shortMs = await copy(1)
    const longMs = await copy(1 + copies)
    return (2 * copies * maxBufferSize * 1000) / Math.max(longMs - shortMs, 1e-3)
  } finally {
    device.destroy()
  }
}
