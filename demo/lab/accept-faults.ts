// Runs in the lab's workers: injects faults at the page's request (a lost GPU device, a slow or cut network).
import { throttleFetch } from './throttle-fetch.js'
import type { CountsMessage, FaultCommand } from './worker-faults.js'

/** This folder is compiled with the types of a page. */
const page = self as unknown as MessagePort

/** Call it in the worker's script, before the first message from the page arrives. */
export function acceptFaults(): void {
  const network = throttleFetch()
  const devices = collectDevices()
  page.addEventListener('message', ({ data }: MessageEvent<FaultCommand>) => {
    if (data.kind === 'lose-device') for (const device of devices) device.destroy()
    else if (data.kind === 'set-network') network.set(data.network)
    else if (data.kind === 'read-counts') {
      const counts = { ...network.counts, gpuDevices: devices.length }
      page.postMessage({ counts } satisfies CountsMessage, [])
    }
  })
}

/** @returns all GPU devices that this worker requests from now on */
function collectDevices(): readonly GPUDevice[] {
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
