/**
 * Tells when a device that is requested during `run` is lost, also long after. web-llm makes its device by itself, shows
 * it to nobody, and only logs its loss.
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
