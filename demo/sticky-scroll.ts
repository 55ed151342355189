/** Keeps the page at its end while text comes, until the reader scrolls up. */
export interface StickyScroll {
  /** Call it behind every change: scrolls to the end, unless the reader looks at something else. */
  follow(): void
  /** Follows again, as for a new question. */
  resume(): void
}

/** Whoever scrolls back to within this distance of the end follows the text again. */
const followWithinPx = 32

export function createStickyScroll(page: Element = document.documentElement): StickyScroll {
  let isFollowing = true
  let previousTop = 0
  const onScroll = () => {
    const top = page.scrollTop
    // The page itself only ever scrolls down: up is a reader who wants to see something else, however little it is.
    if (top < previousTop) isFollowing = false
    else if (page.scrollHeight - page.clientHeight - top < followWithinPx) isFollowing = true
    previousTop = top
  }
  addEventListener('scroll', onScroll, { passive: true })
  const follow = () => {
    if (isFollowing) page.scrollTop = page.scrollHeight
  }
  return {
    follow,
    resume() {
      isFollowing = true
      follow()
    },
  }
}
