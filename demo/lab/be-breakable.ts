// In the lab's workers: lets the page lose the worker's GPU and cut its line, and counts what it sends.
import { countWire } from './count-wire.js'
import { shapeLine } from './shape-line.js'
import type { CountsMessage, WorkerOrder } from './worker-faults.js'

/** This folder's types are a page's. */
const page = self as unknown as MessagePort

/** Called by a worker's script before it hears from the page. */
export function beBreakable(): void {
  const wire = countWire()
  const line = shapeLine()
  const devices = keepDevices()
  page.addEventListener('message', ({ data }: MessageEvent<WorkerOrder>) => {
    if (data.order === 'lose the device') for (const device of devices) device.destroy()
    else if (data.order === 'set the line') line.set(data.line)
    else if (data.order === 'count') {
      const counts = { ...wire.newest, ...line.counts, gpuDevices: devices.length }
      page.postMessage({ counts } satisfies CountsMessage, [])
    }
  })
}

/** @returns the devices that this worker gets from now on */
function keepDevices(): readonly GPUDevice[] {
  const devices: GPUDevice[] = []
  if (!('GPUAdapter' in globalThis)) return devices
  const { requestDevice } = GPUAdapter.prototype
  GPUAdapter.prototype.requestDevice = async function (...parameters) {
    const device = await requestDevice.apply(this, parameters)
    devices.push(device)
    return device
  }
  return devices
}
