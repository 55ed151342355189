import type { ChatSnapshot } from '../chat.js'

/** Called with a chat as it is now. */
export type ChatListener = (snapshot: ChatSnapshot) => void

interface Subscription {
  readonly listener: ChatListener
  told?: ChatSnapshot
}

/** Those who want to know of a chat's changes. None is told the same snapshot twice. */
export function createListeners(read: () => ChatSnapshot) {
  // One listener may subscribe twice.
  const subscriptions = new Set<Subscription>()
  let isDue = false

  function tell(subscription: Subscription): void {
    // Read for each: one that was told before may have changed the chat.
    const snapshot = read()
    if (subscription.told === snapshot) return
    subscription.told = snapshot
    try {
      subscription.listener(snapshot)
    } catch (error) {
      // `reportError` is not in Node.
      queueMicrotask(() => {
        throw error
      })
    }
  }

  function tellAll(): void {
    isDue = false
    subscriptions.forEach(tell)
  }

  return {
    /** The snapshot is another one. */
    notify(): void {
      if (isDue) return
      isDue = true
      queueMicrotask(tellAll)
    },
    add(listener: ChatListener): () => void {
      const subscription = { listener }
      subscriptions.add(subscription)
      tell(subscription)
      return () => void subscriptions.delete(subscription)
    },
  }
}
