import { compareRuns } from '../figures/compare-runs.js'
import type { Run } from '../figures/run.js'

/** Who won by what, as sentences; nothing of what only one of them has. */
export function judgeRace(left: Run, right: Run): readonly string[] {
  const names = { first: 'Left', second: 'Right' } as const
  const deeds = { timeToFirstTokenMs: 'had its first token', tokensPerSecond: 'wrote' } as const
  const manners = { timeToFirstTokenMs: 'sooner', tokensPerSecond: 'faster' } as const
  return compareRuns(left, right).flatMap(({ figure, ratio, winner }) => {
    const { name } = figure
    if (name !== 'timeToFirstTokenMs' && name !== 'tokensPerSecond') return []
    if (ratio === undefined) return []
    if (!winner) return [`By ${figure.label.toLowerCase()} they are even.`]
    const times = Math.max(ratio, 1 / ratio).toFixed(2)
    return [`${names[winner]} ${deeds[name]} ${times} times ${manners[name]}.`]
  })
}
