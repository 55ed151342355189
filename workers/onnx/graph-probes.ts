import { computeValues, type RunLengths, type Values } from './graph-values.js'
import type { Value } from './tensor-value.js'
import type { CacheSizes } from './model-config.js'
import type { GraphProto } from './onnx_pb.js'

/** The values of a graph in runs with known lengths. */
export interface Probe extends RunLengths {
  readonly values: Values
}

/**
 * The runs in which a rewrite checks what the nodes of a graph compute. What holds in all of them is taken to hold in all
 * runs: they have different numbers of tokens, start with an empty cache and with a cache, and one fills the context.
 */
export interface Probes {
  readonly all: readonly Probe[]
  /** A small run with a cache, in which tensors with all heads can be computed. */
  readonly small: Probe
  /** Computes the values of another run. */
  probe(lengths: RunLengths): Probe
}

/** @param contextLength the largest total length, in tokens */
export function createProbes(graph: GraphProto, sizes: CacheSizes, contextLength: number): Probes {
  const probes = new Map<string, Probe>()
  function probe(lengths: RunLengths): Probe {
    const key = `${lengths.newTokens} ${lengths.pastTokens}`
    const result = probes.get(key) ?? { ...lengths, values: computeValues(graph, lengths, sizes) }
    probes.set(key, result)
    return result
  }
  const small = probe({ newTokens: 3, pastTokens: 4 })
  const others = [
    { newTokens: 5, pastTokens: 0 },
    { newTokens: 1, pastTokens: 11 },
    { newTokens: 1, pastTokens: Math.max(contextLength - 1, 12) },
    { newTokens: 2, pastTokens: Math.max(Math.min(contextLength >> 1, 1021), 13) },
  ]
  return { all: [small, ...others.map(probe)], small, probe }
}

/** Returns the values of a tensor in all probes, or undefined if one is unknown. */
export function readValues({ all }: Probes, name: string): readonly Value[] | undefined {
  const values = all.flatMap((probe) => probe.values.get(name) ?? [])
  return values.length === all.length ? values : undefined
}

/** What a number is in all probes: always the same, or a length. */
export type SymbolicSize = number | 'newTokens' | 'pastTokens' | 'totalTokens'

/** Returns what a number is in all probes, or undefined if it is something else. */
export function readSymbol(
  { all }: Probes,
  read: (probe: Probe, index: number) => number | undefined,
): SymbolicSize | undefined {
  const numbers = all.map(read)
  const [first] = numbers
  if (first !== undefined && numbers.every((number) => number === first)) return first
  const lengths = {
    newTokens: ({ newTokens }: Probe) => newTokens,
    pastTokens: ({ pastTokens }: Probe) => pastTokens,
    totalTokens: ({ newTokens, pastTokens }: Probe) => newTokens + pastTokens,
  }
  for (const name of ['newTokens', 'pastTokens', 'totalTokens'] as const)
    if (all.every((probe, index) => lengths[name](probe) === numbers[index])) return name
  return undefined
}
