import { formatMs } from './figure-format.js'
import { pageElement } from './page-element.js'

/** The strip's own coordinates: one unit a gap across, `height` for the longest gap that is shown. */
const shownGaps = 96
const height = 40

/** Draws the last gaps between tokens as a row of strokes; a picture beside the figures, not instead of them. */
export function drawGapStrip(gapsMs: readonly number[]): void {
  const gaps = gapsMs.slice(-shownGaps)
  const longest = Math.max(...gaps, 0)
  const stroke = (gap: number, index: number) => {
    const length = longest > 0 ? Math.max(1, (gap / longest) * (height - 2)) : 1
    return `M${index + 0.5} ${height}V${(height - length).toFixed(1)}`
  }
  pageElement('gap-strip', SVGPathElement).setAttribute('d', gaps.map(stroke).join(''))
  const { value, unit } = formatMs(longest)
  pageElement('gap-scale', HTMLElement).textContent = gaps.length > 0 ? `longest ${value} ${unit}` : ''
}
