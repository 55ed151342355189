import { signal, type ReadonlySignal } from '@preact/signals'

/** Keeps the page at its end while text comes, until the reader scrolls up. */
export interface StickyScroll {
  /** False while the reader looks at something else: there is a way back to show then. */
  readonly isFollowing: ReadonlySignal<boolean>
  /** Call it behind every change: scrolls to the end, unless the reader looks at something else. */
  follow(): void
  /** Goes to the end and follows again, as for a new question. */
  resume(): void
}

/** Whoever scrolls back to within this distance of the end follows the text again. */
const followWithinPx = 32

export function createStickyScroll(page: Element = document.documentElement): StickyScroll {
  const isFollowing = signal(true)
  const readEnd = () => page.scrollHeight - page.clientHeight
  let previousTop = page.scrollTop
  let previousEnd = readEnd()

  function onScroll(): void {
    const top = page.scrollTop
    const end = readEnd()
    // Up by however little is a reader who wants to see something else: no one else scrolls up, but for a page
    // that has become shorter, which the browser moves to its new end.
    if (top < previousTop && !(end < previousEnd && end - top < 1)) isFollowing.value = false
    else if (top > previousTop && end - top < followWithinPx) isFollowing.value = true
    previousTop = top
    previousEnd = end
  }

  /** Lets go before the first pixel has moved, which a change in the same frame would undo. */
  function letGo(): void {
    if (page.scrollTop > 0) isFollowing.value = false
  }

  const target = page === document.documentElement ? window : page
  let touchY = 0
  target.addEventListener('scroll', onScroll, { passive: true })
  target.addEventListener('wheel', (event) => (event as WheelEvent).deltaY < 0 && letGo(), { passive: true })
  target.addEventListener('touchstart', (event) => (touchY = readTouchY(event)), { passive: true })
  target.addEventListener('touchmove', (event) => readTouchY(event) > touchY && letGo(), { passive: true })

  function follow(): void {
    if (!isFollowing.peek()) return
    page.scrollTop = page.scrollHeight
    previousTop = page.scrollTop
    previousEnd = readEnd()
  }

  return {
    isFollowing,
    follow,
    resume() {
      isFollowing.value = true
      follow()
    },
  }
}

const readTouchY = (event: Event) => (event as TouchEvent).touches[0]?.clientY ?? 0
