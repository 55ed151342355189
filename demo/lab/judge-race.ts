import { compareRuns } from '../figures/compare-runs.js'
import type { Run } from '../figures/run.js'

/** Returns a sentence on TTFT and one on decode speed that name the faster lane. Omits a figure that a run lacks. */
export function judgeRace(left: Run, right: Run): readonly string[] {
  const laneNames = { first: 'left', second: 'right' } as const
  return compareRuns(left, right).flatMap(({ figure, ratio, winner }) => {
    if (figure.name !== 'timeToFirstTokenMs' && figure.name !== 'tokensPerSecond') return []
    if (ratio === undefined) return []
    if (!winner) return [`${figure.label}: no difference.`]
    const times = Math.max(ratio, 1 / ratio).toFixed(2)
    return [`${figure.label}: ${laneNames[winner]} was ${times} times faster.`]
  })
}
