// The library's own worker with the grammar engine, in which the page can inject faults that a test cannot cause otherwise.
import 'rivulet/onnx-xgrammar.worker'
import { fileless, handleless } from './fileless.js'
import { manyProcessors } from './many-processors.js'
import { removeStreamIteration, withoutStreamIteration } from './without-stream-iteration.js'

/** A fault to inject. The page sends it on the channel that has the worker's name. */
export type WorkerFault = 'lose the device' | 'end in silence' | 'throw' | 'loop for ever'

const devices: GPUDevice[] = []
// Not every browser has WebGPU.
if ('GPUAdapter' in self) {
  const { requestDevice } = GPUAdapter.prototype
  GPUAdapter.prototype.requestDevice = async function (...parameters) {
    const device = await requestDevice.apply(this, parameters)
    devices.push(device)
    return device
  }
}

if (self.name.startsWith(withoutStreamIteration)) removeStreamIteration()

if (self.name.startsWith(manyProcessors))
  Object.defineProperty(navigator, 'hardwareConcurrency', { value: 4 })

if (self.name.startsWith(fileless)) {
  StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException('', 'SecurityError'))
}
if (self.name.startsWith(handleless)) {
  // The page's types lack this method of workers.
  Object.assign(FileSystemFileHandle.prototype, {
    createSyncAccessHandle: () => Promise.reject(new DOMException('', 'InvalidStateError')),
  })
}

const faults = {
  'lose the device': () => {
    for (const device of devices) device.destroy()
  },
  'end in silence': () => self.close(),
  throw: () => {
    setTimeout(() => {
      throw new Error('thrown on purpose')
    })
  },
  'loop for ever': () => {
    for (;;);
  },
} satisfies Record<WorkerFault, () => void>

new BroadcastChannel(self.name).onmessage = ({ data }: MessageEvent<WorkerFault>) => faults[data]()
