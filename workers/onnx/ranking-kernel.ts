import { writeCompetition } from './kernel-competition.js'
import { mostRanked } from './ranking.js'
import { kernelLogits } from './sampler-kernel-arithmetic.js'
import { groupThreads } from './sampler-kernel-sums.js'

/** The size of the struct `Ranks`: a sum and a key, and a key and an id for each token. */
const ranksSize = 4 * (2 + 2 * mostRanked)

/** The sizes of the structs `Settings` and `Ranks`, in bytes, and the largest value of `Settings.tokensPerThread`. */
export const rankingSizes = { settings: 16, ranks: ranksSize, tokensPerThread: 32 } as const

/**
 * Finds the likeliest tokens on the GPU, in two dispatches: `rankGroups` for the tokens of each workgroup, and `mergeGroups`
 * in one workgroup for all of them. Each round finds one token, by comparing the best one that each thread has left.
 */
export const rankingKernel = /* wgsl */ `
const groupThreads = ${groupThreads}u;
${kernelLogits}
struct Settings {
  vocabulary: u32,
  tokensPerThread: u32,
  groups: u32,
  // The number of tokens to find. At least 1, since the sums need the largest logit.
  rounds: u32,
}

struct Token { key: u32, id: u32 }

struct Ranks {
  // The sum of exp(logit - largest logit).
  sum: f32,
  chosenKey: u32,
  tokens: array<Token, ${mostRanked}>,
}

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read> logits: array<u32>;
@group(0) @binding(2) var<storage, read> tokenId: array<u32, 2>;
@group(0) @binding(3) var<storage, read_write> groupRanks: array<Ranks>;
@group(0) @binding(4) var<storage, read_write> ranks: Ranks;

const noToken = Token(maskedKey, 0xffffffffu);

fn better(a: Token, b: Token) -> Token {
  if (b.key > a.key || (b.key == a.key && b.id < a.id)) { return b; }
  return a;
}

${writeCompetition('Token')}
var<workgroup> winner: Token;

// Returns the best token of all threads, on every thread.
fn findBest(thread: u32, token: Token) -> Token {
  let best = compete(thread, token);
  if (thread == 0u) { winner = best; }
  workgroupBarrier();
  return winner;
}

var<workgroup> sums: array<f32, groupThreads>;

// Returns the sum over all threads, on thread 0 only.
fn sumUp(thread: u32, value: f32) -> f32 {
  sums[thread] = value;
  workgroupBarrier();
  var sum = value;
  if (thread % 16u == 0u) {
    for (var other = thread + 1u; other < thread + 16u; other += 1u) { sum += sums[other]; }
    sums[thread] = sum;
  }
  workgroupBarrier();
  if (thread == 0u) {
    for (var other = 16u; other < groupThreads; other += 16u) { sum += sums[other]; }
  }
  return sum;
}

// A masked token adds nothing. With a broken one the sampler refuses the step.
fn computeShare(key: u32, largest: u32) -> f32 {
  if (key == maskedKey || largest == brokenKey) { return 0.0; }
  return exp(toLogit(key) - toLogit(largest));
}

@compute @workgroup_size(groupThreads)
fn rankGroups(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) workgroup: vec3u) {
  let group = workgroup.x;
  let first = group * groupThreads * settings.tokensPerThread + thread;
  // One bit for each token of the thread that was found.
  var found = 0u;
  var largest = maskedKey;
  for (var round = 0u; round < settings.rounds; round += 1u) {
    var best = noToken;
    for (var index = 0u; index < settings.tokensPerThread; index += 1u) {
      let id = first + index * groupThreads;
      if (id >= settings.vocabulary || ((found >> index) & 1u) == 1u) { continue; }
      best = better(best, Token(toKey(readBits(id)), id));
    }
    let token = findBest(thread, best);
    if (token.id == best.id) { found |= 1u << ((token.id - first) / groupThreads); }
    if (thread == 0u) { groupRanks[group].tokens[round] = token; }
    if (round == 0u) { largest = token.key; }
  }
  var share = 0.0;
  for (var index = 0u; index < settings.tokensPerThread; index += 1u) {
    let id = first + index * groupThreads;
    if (id < settings.vocabulary) { share += computeShare(toKey(readBits(id)), largest); }
  }
  let sum = sumUp(thread, share);
  if (thread == 0u) { groupRanks[group].sum = sum; }
}

// Each thread has the tokens of one group.
@compute @workgroup_size(groupThreads)
fn mergeGroups(@builtin(local_invocation_index) thread: u32) {
  var next = 0u;
  var largest = maskedKey;
  for (var round = 0u; round < settings.rounds; round += 1u) {
    var best = noToken;
    if (thread < settings.groups && next < settings.rounds) { best = groupRanks[thread].tokens[next]; }
    let token = findBest(thread, best);
    if (token.id == best.id) { next += 1u; }
    if (thread == 0u) { ranks.tokens[round] = token; }
    if (round == 0u) { largest = token.key; }
  }
  var share = 0.0;
  if (thread < settings.groups) {
    share = groupRanks[thread].sum * computeShare(groupRanks[thread].tokens[0].key, largest);
  }
  let sum = sumUp(thread, share);
  if (thread == 0u) {
    ranks.sum = sum;
    ranks.chosenKey = maskedKey;
    if (tokenId[0] < settings.vocabulary) { ranks.chosenKey = toKey(readBits(tokenId[0])); }
  }
}
`
