/** Damages files as disks, proxies and attackers do, reproducibly for a seed. */

export type Random = () => number

/** Creates a generator of numbers in [0, 1), determined by the seed (mulberry32). */
export function createRandom(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function pick<T>(values: readonly T[], random: Random): T {
  return values[Math.floor(random() * values.length)]!
}

/** Truncates a file, or flips, replaces, copies or fills parts of it. */
export function mutateBytes(
  bytes: Uint8Array,
  random: Random,
  limit = bytes.length,
): Uint8Array<ArrayBuffer> {
  const place = () => Math.floor(random() * Math.min(limit, bytes.length))
  const damaged = Uint8Array.from(bytes)
  const ways = [
    () => damaged.slice(0, place()),
    () => {
      for (let count = 1 + Math.floor(random() * 8); count > 0; count -= 1)
        damaged[place()]! ^= 1 << Math.floor(random() * 8)
      return damaged
    },
    () => {
      for (let count = 1 + Math.floor(random() * 8); count > 0; count -= 1)
        damaged[place()] = Math.floor(random() * 256)
      return damaged
    },
    () => {
      const [from, to] = [place(), place()]
      damaged.set(bytes.subarray(from, from + 64).slice(0, damaged.length - to), to)
      return damaged
    },
    () => damaged.fill(pick([0, 255], random), place(), place()),
    () => new Uint8Array(),
  ]
  return pick(ways, random)()
}

const absurdValues: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1e308,
  2 ** 53,
  0.5,
  '',
  'x',
  '__proto__',
  'constructor',
  [],
  {},
  [[[[[[]]]]]],
  { type: 'Unknown' },
  Array.from({ length: 1000 }, (_, index) => index),
  'a'.repeat(100_000),
]

/** Replaces a value in a JSON document by an absurd one, or deletes it. */
export function mutateJson(text: string, random: Random): string {
  const root: unknown = JSON.parse(text)
  let holder = root as Record<string, unknown>
  let key = pick(Object.keys(holder), random)
  while (random() < 0.6) {
    const value = holder[key]
    if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) break
    holder = value as Record<string, unknown>
    key = pick(Object.keys(holder), random)
  }
  if (random() < 0.2) Reflect.deleteProperty(holder, key)
  else holder[key] = pick(absurdValues, random)
  return JSON.stringify(root)
}
