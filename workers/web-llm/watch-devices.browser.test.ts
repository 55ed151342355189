import { expect, it } from 'vitest'
import { watchDevices } from './watch-devices.js'

const requestDevice = async () => {
  const adapter = await navigator.gpu.requestAdapter()
  return adapter!.requestDevice()
}
const settle = () => new Promise((resolve) => setTimeout(resolve, 50))

it('tells of a lost device that somebody else has asked for, until it is told to stop', async () => {
  const { requestDevice: real } = GPUAdapter.prototype
  const seen: string[] = []
  const stop = watchDevices((reason) => seen.push(reason))
  try {
    const device = await requestDevice()
    device.destroy()
    await settle()
    expect(seen).toHaveLength(1)
    const freed = await requestDevice()
    stop()
    freed.destroy()
    await settle()
    expect(seen).toHaveLength(1)
  } finally {
    GPUAdapter.prototype.requestDevice = real
  }
})
