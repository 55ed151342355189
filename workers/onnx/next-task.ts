/**
 * Resolves in the next task of the event loop, after all promises that can settle now. Unlike a timeout, it is not delayed:
 * browsers delay nested timeouts by 4 ms.
 */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(undefined)
  })
}
