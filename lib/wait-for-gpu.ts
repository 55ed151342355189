import { probeDevices } from './contract/devices.js'

/** After a crash of the GPU process, the browser needs some time before it has a GPU adapter again. */
const gpuReturnMs = 3000
const gpuPollMs = 100

/** Resolves when the browser has a GPU adapter again, after `gpuReturnMs`, or after `signal` has aborted. */
export async function waitForGpu(signal: AbortSignal | undefined): Promise<void> {
  const end = performance.now() + gpuReturnMs
  while (!signal?.aborted && performance.now() < end) {
    if ('adapter' in (await probeDevices()).webgpu) return
    await new Promise((resolve) => setTimeout(resolve, gpuPollMs))
  }
}
