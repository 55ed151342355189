import type { ChatSnapshot } from '../chat.js'

/** A function that is called with the current snapshot of a chat. */
export type ChatListener = (snapshot: ChatSnapshot) => void

interface Subscription {
  readonly listener: ChatListener
  lastSnapshot?: ChatSnapshot
}

/** Creates the list of a chat's listeners. No listener is called twice in a row with the same snapshot. */
export function createListeners(read: () => ChatSnapshot) {
  // Contains subscriptions, since the same listener may subscribe twice.
  const subscriptions = new Set<Subscription>()
  let isDue = false

  function notifyOne(subscription: Subscription): void {
    // The snapshot is read for each listener, since an earlier listener may have changed the chat.
    const snapshot = read()
    if (subscription.lastSnapshot === snapshot) return
    subscription.lastSnapshot = snapshot
    try {
      subscription.listener(snapshot)
    } catch (error) {
      // Reports the error without stopping the other listeners. Node has no `reportError`.
      queueMicrotask(() => {
        throw error
      })
    }
  }

  function notifyAll(): void {
    isDue = false
    subscriptions.forEach(notifyOne)
  }

  return {
    /** Calls the listeners in a microtask. Call this function after the snapshot has changed. */
    notify(): void {
      if (isDue) return
      isDue = true
      queueMicrotask(notifyAll)
    },
    add(listener: ChatListener): () => void {
      const subscription = { listener }
      subscriptions.add(subscription)
      notifyOne(subscription)
      return () => void subscriptions.delete(subscription)
    },
  }
}
