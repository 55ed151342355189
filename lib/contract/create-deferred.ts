/**
 * Returns a promise with its `resolve` and `reject` functions. The platform's `Promise.withResolvers` does the same, but is
 * newer than the oldest browsers that can run this library.
 */
export function createDeferred<T>() {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
