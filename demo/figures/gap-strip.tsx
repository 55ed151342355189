import { formatMs } from '../figure-format.js'

/** The strip's coordinates: one unit of width per gap; the longest visible gap is `height` units high. */
const shownGaps = 96
const height = 40

/** The latest gaps between tokens as a row of strokes. Hidden from screen readers: the readouts show the same data. */
export function GapStrip({ gapsMs }: { readonly gapsMs: readonly number[] }) {
  const gaps = gapsMs.slice(-shownGaps)
  const longest = Math.max(...gaps, 0)
  const { value, unit } = formatMs(longest)
  return (
    <figure class="gaps" aria-hidden="true">
      <svg viewBox={`0 0 ${shownGaps} ${height}`} preserveAspectRatio="none">
        <path d={gaps.map((gap, index) => drawStroke(gap, index, longest)).join('')} />
      </svg>
      <figcaption>
        <span>Last {shownGaps} gaps</span>
        <span>{gaps.length > 0 && `longest ${value} ${unit}`}</span>
      </figcaption>
    </figure>
  )
}

function drawStroke(gap: number, index: number, longest: number): string {
  const length = longest > 0 ? Math.max(1, (gap / longest) * (height - 2)) : 1
  return `M${index + 0.5} ${height}V${(height - length).toFixed(1)}`
}
