/**
 * A stream's `cancel` awaits this before it aborts anything. In a service worker of WebKit (WebKitGTK 2.50), an
 * `abort` event that is dispatched inside the `cancel` of a response's body never returns, and the worker hangs.
 */
export function leaveCancel(): Promise<void> {
  return Promise.resolve()
}
