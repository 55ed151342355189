const soak = Number(process.env.RIVULET_SOAK ?? 1)

/** Whether this is `npm run soak`, and not `npm test`. */
export const isSoak = soak > 1

/** How many times a test repeats: few in `npm test`, `RIVULET_SOAK` times as many in `npm run soak`, up to `full`. */
export function scaleCount(few: number, full: number): number {
  return Math.min(full, few * soak)
}
