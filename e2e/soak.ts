const soak = Number(process.env.RIVULET_SOAK ?? 1)

/** True in `npm run soak`, false in `npm test`. */
export const isSoak = soak > 1

/** How often a test repeats: `few` times in `npm test`, `RIVULET_SOAK` times as often in the soak, at most `full`. */
export function scaleCount(few: number, full: number): number {
  return Math.min(full, few * soak)
}
