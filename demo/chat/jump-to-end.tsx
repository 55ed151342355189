import type { StickyScroll } from '../sticky-scroll.js'
import { focusPrompt } from './composer.js'

/** The way back for a reader who has scrolled away from the text that comes. */
export function JumpToEnd({ scroll }: { readonly scroll: StickyScroll }) {
  if (scroll.isFollowing.value) return null
  const jump = () => {
    scroll.resume()
    // The button is gone then.
    focusPrompt()
  }
  return (
    <div class="jump-to-end">
      <button type="button" class="quiet" onClick={jump}>
        Jump to the latest
      </button>
    </div>
  )
}
