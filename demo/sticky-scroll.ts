import { signal, type ReadonlySignal } from '@preact/signals'

/** Keeps the page scrolled to its end while text streams, until the user scrolls up. */
export interface StickyScroll {
  /** False after the user scrolls up. The page then shows a button to scroll to the bottom. */
  readonly isFollowing: ReadonlySignal<boolean>
  /** Scrolls to the end if `isFollowing`. Call it after every change of the content. */
  follow(): void
  /** Scrolls to the end and follows again, for example after a new message. */
  resume(): void
}

/** Scrolling down to within this distance of the end resumes following. */
const followWithinPx = 32

export function createStickyScroll(page: Element = document.documentElement): StickyScroll {
  const isFollowing = signal(true)
  const readEnd = () => page.scrollHeight - page.clientHeight
  let previousTop = page.scrollTop
  let previousEnd = readEnd()

  function onScroll(): void {
    const top = page.scrollTop
    const end = readEnd()
    // Any upward scroll comes from the user, except when the page becomes shorter and the browser moves it to its new end.
    if (top < previousTop && !(end < previousEnd && end - top < 1)) isFollowing.value = false
    else if (top > previousTop && end - top < followWithinPx) isFollowing.value = true
    previousTop = top
    previousEnd = end
  }

  /** Stops before the page has scrolled: a content change in the same frame would scroll it back to the end. */
  function stopFollowing(): void {
    if (page.scrollTop > 0) isFollowing.value = false
  }

  const target = page === document.documentElement ? window : page
  let touchY = 0
  target.addEventListener('scroll', onScroll, { passive: true })
  target.addEventListener('wheel', (event) => (event as WheelEvent).deltaY < 0 && stopFollowing(), {
    passive: true,
  })
  target.addEventListener('touchstart', (event) => (touchY = readTouchY(event)), { passive: true })
  target.addEventListener('touchmove', (event) => readTouchY(event) > touchY && stopFollowing(), {
    passive: true,
  })

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
