import { groupThreads } from './sampler-kernel-sums.js'

/**
 * Writes a WGSL function that finds the best value of a workgroup. The kernel declares `better(a, b)`, which returns one of
 * its arguments, and `groupThreads`.
 */
export function writeCompetition(type: string): string {
  return /* wgsl */ `
var<workgroup> contest: array<${type}, ${groupThreads}>;

// Returns the best value of all threads, on thread 0 only. Two rounds of 16, since barriers are expensive.
fn compete(thread: u32, value: ${type}) -> ${type} {
  contest[thread] = value;
  workgroupBarrier();
  var best = value;
  if (thread % 16u == 0u) {
    for (var other = thread + 1u; other < thread + 16u; other += 1u) { best = better(best, contest[other]); }
    contest[thread] = best;
  }
  workgroupBarrier();
  if (thread == 0u) {
    for (var other = 16u; other < groupThreads; other += 16u) { best = better(best, contest[other]); }
  }
  return best;
}
`
}
