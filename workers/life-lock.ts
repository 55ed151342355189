/**
 * Takes a Web Lock that is held until this worker is gone, for whatever reason: whoever asks for it then knows.
 * Does nothing where the browser has no locks, as on pages that are not secure.
 */
export async function holdLifeLock(name: string): Promise<void> {
  if (!('locks' in navigator)) return
  await new Promise<void>((resolve) => {
    void navigator.locks.request(name, () => {
      resolve()
      return new Promise(() => {})
    })
  })
}
