import type { ChatSnapshot } from '../chat.js'

/** Called with the current snapshot of a chat. */
export type ChatListener = (snapshot: ChatSnapshot) => void

interface Subscription {
  readonly listener: ChatListener
  lastSnapshot?: ChatSnapshot
}

/** The listeners of a chat. None is called twice with the same snapshot. */
export function createListeners(read: () => ChatSnapshot) {
  // A listener may subscribe twice.
  const subscriptions = new Set<Subscription>()
  let isDue = false

  function notifyOne(subscription: Subscription): void {
    // Read for each listener: an earlier one may have changed the chat.
    const snapshot = read()
    if (subscription.lastSnapshot === snapshot) return
    subscription.lastSnapshot = snapshot
    try {
      subscription.listener(snapshot)
    } catch (error) {
      // Node has no `reportError`.
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
    /** Call this after the snapshot has changed. */
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
