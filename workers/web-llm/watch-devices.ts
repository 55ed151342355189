/**
 * Calls `onLost` when a device that is requested during `run` is lost, even long afterwards. web-llm creates its device
 * itself, does not expose it, and only logs its loss.
 */
export async function watchDevices<T>(run: () => Promise<T>, onLost: (reason: string) => void): Promise<T> {
  const { prototype } = GPUAdapter
  const { requestDevice } = prototype
  prototype.requestDevice = async function (descriptor) {
    const device = await requestDevice.call(this, descriptor)
    void device.lost.then(({ message, reason }) => onLost(message || reason))
    return device
  }
  try {
    return await run()
  } finally {
    prototype.requestDevice = requestDevice
  }
}
