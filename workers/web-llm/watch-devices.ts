/**
 * Tells of the loss of any GPU device that this worker asks for: web-llm takes its device by itself, and tells nobody.
 * @returns stops telling
 */
export function watchDevices(onLost: (reason: string) => void): () => void {
  let isWatching = true
  if (typeof GPUAdapter === 'undefined') return () => {}
  const { requestDevice } = GPUAdapter.prototype
  GPUAdapter.prototype.requestDevice = async function (...parameters) {
    const device = await requestDevice.apply(this, parameters)
    void watch(device)
    return device
  }
  async function watch({ lost }: GPUDevice): Promise<void> {
    const { message, reason } = await lost
    if (isWatching) onLost(message || reason)
  }
  return () => {
    isWatching = false
  }
}
