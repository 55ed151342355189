import { writeCompetition } from './kernel-competition.js'
import { kernelArithmetic, kernelLogits } from './sampler-kernel-arithmetic.js'
import { groupThreads, kernelSums } from './sampler-kernel-sums.js'

/** The number of tokens per workgroup, in the entry points that divide the vocabulary among workgroups. */
export const groupTokens = 2048

/** The sizes of the structs `Settings` and `State`, in bytes. */
export const settingsSize = 60
/** The offset of the field `masks` in `Settings`. */
export const masksOffset = 56
export const stateSize = 12 + 2 * 4 * groupThreads

/** The sampler in WGSL. `createGpuSampler` chooses the entry points for a request and their order. */
export const samplerKernel = /* wgsl */ `
const groupThreads = ${groupThreads}u;
const groupTokens = ${groupTokens}u;
${kernelLogits}${kernelArithmetic}${kernelSums}
struct Settings {
  vocabulary: u32,
  topK: u32,
  topP: u32,
  largestExponent: u32,
  seedBits: u32,
  adjusts: u32,
  zero: u32,
  noiseScale: f32,
  exponentScale: f32,
  reach: f32,
  penalty: f32,
  reward: f32,
  frequency: f32,
  presence: f32,
  masks: u32,
}

// Data that one dispatch passes to the next. The last dispatch clears it and increments the position.
struct State {
  position: u32,
  largest: atomic<u32>,
  listed: atomic<u32>,
  low: array<atomic<u32>, groupThreads>,
  high: array<atomic<u32>, groupThreads>,
}

// A token that can be chosen.
struct Candidate { score: u32, id: u32, key: u32 }

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read> logits: array<u32>;
// For each token: its occurrences in prompt and answer, and the bits of its bias.
@group(0) @binding(2) var<storage, read_write> marks: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> keys: array<u32>;
// Candidates in no particular order. No result depends on the order.
@group(0) @binding(4) var<storage, read_write> list: array<Candidate>;
@group(0) @binding(5) var<storage, read_write> state: State;
@group(0) @binding(6) var<storage, read_write> tokenId: array<u32, 2>;
// One bit for each token: it can be chosen if its bit is set. Used if settings.masks is not 0.
@group(0) @binding(7) var<storage, read> mask: array<u32>;

// The score is the logit plus noise, as a key; the largest one is chosen. A masked token never wins against
// noCandidate.
fn computeCandidate(id: u32, key: u32, positionBits: u32) -> Candidate {
  if (key == brokenKey || key == maskedKey || settings.noiseScale == 0) { return Candidate(key, id, key); }
  let random = scramble(positionBits + scramble(id + 0x9e3779b9u));
  let noise = fround(settings.noiseScale * f32(computeNoise(random)));
  return Candidate(toKey(bitcast<u32>(toLogit(key) + noise)), id, key);
}

fn scramblePosition() -> u32 {
  return scramble(settings.seedBits + state.position * 0x9e3779b1u);
}

const noCandidate = Candidate(0u, noToken, maskedKey);

fn better(a: Candidate, b: Candidate) -> Candidate {
  if (b.score > a.score || (b.score == a.score && b.id < a.id && b.key != maskedKey)) { return b; }
  return a;
}

${writeCompetition('Candidate')}
fn readStateBin(thread: u32) -> vec2u {
  return vec2u(atomicLoad(&state.low[thread]), atomicLoad(&state.high[thread]));
}

// The amount that top-k (1 per token) or top-p (the weight) adds up.
fn measure(key: u32, largest: u32, byWeight: bool) -> u32 {
  if (byWeight) { return computeWeight(measureExponent(key, largest)); }
  return 1u;
}

// The end of the list: larger keys are kept, and of this key the smaller ids up to this one.
struct Cut { key: u32, id: u32 }

fn isKept(candidate: Candidate, cut: Cut) -> bool {
  return candidate.key > cut.key || (candidate.key == cut.key && candidate.id <= cut.id);
}

var<workgroup> listed: u32;
var<workgroup> largest: u32;

// Computes the histogram of one digit over the entries whose higher digits equal the prefix. The digits are those of
// the
// key, or of the id among entries with the tied key.
fn sumDigit(thread: u32, cut: Cut, tiedKey: u32, prefix: u32, shift: u32, byWeight: bool) -> vec2u {
  clearBins(thread);
  for (var index = thread; index < listed; index += groupThreads) {
    let candidate = list[index];
    if (!isKept(candidate, cut) || (tiedKey != maskedKey && candidate.key != tiedKey)) { continue; }
    let rank = select(candidate.id, ~candidate.key, tiedKey == maskedKey) >> shift;
    if (rank >> 8u != (prefix >> shift) >> 8u) { continue; }
    addToBin(rank & 0xffu, measure(candidate.key, largest, byWeight));
  }
  return sumUp(thread, readBin(thread));
}

// Finds the position in the list, ordered by key and then by id, where the sum reaches top-k or top-p. A radix select,
// 8 bits at a time. Top-p is a share of whole, or of the list if whole is 0.
fn findCut(thread: u32, cut: Cut, byWeight: bool, whole: vec2u) -> Cut {
  var wanted = vec2u(settings.topK, 0u);
  var prefix = 0u;
  var tied = vec2u(0u);
  for (var digit = 0u; digit < 4u; digit += 1u) {
    let shift = 24u - 8u * digit;
    let total = sumDigit(thread, cut, maskedKey, prefix, shift, byWeight);
    if (digit == 0u) {
      if (byWeight) { wanted = takeShare(select(whole, total, all(whole == vec2u(0u)))); }
      if (isLess(total, wanted)) { return cut; }
    }
    let bin = findBin(thread, wanted);
    prefix |= bin.index << shift;
    wanted = subtract(wanted, bin.before);
    tied = bin.amount;
  }
  let key = ~prefix;
  if (isLess(subtract(tied, wanted), vec2u(measure(key, workgroupUniformLoad(&largest), byWeight), 0u))) {
    return Cut(key, select(noToken, cut.id, key == cut.key));
  }
  prefix = 0u;
  for (var digit = 0u; digit < 3u; digit += 1u) {
    let shift = 16u - 8u * digit;
    sumDigit(thread, cut, key, prefix, shift, byWeight);
    let bin = findBin(thread, wanted);
    prefix |= bin.index << shift;
    wanted = subtract(wanted, bin.before);
  }
  return Cut(key, prefix);
}

// Without top-k, top-p and min-p: lists the best token of each workgroup.
@compute @workgroup_size(groupThreads)
fn shortlist(
  @builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u
) {
  let positionBits = scramblePosition();
  var best = noCandidate;
  for (var offset = thread; offset < groupTokens; offset += groupThreads) {
    let id = group.x * groupTokens + offset;
    if (id < settings.vocabulary) { best = better(best, computeCandidate(id, computeKey(id), positionBits)); }
  }
  let winner = compete(thread, best);
  if (thread > 0u) { return; }
  list[group.x] = winner;
  if (group.x == 0u) { atomicStore(&state.listed, groups.x); }
}

var<workgroup> groupLargest: atomic<u32>;

// Computes the keys and the largest key.
@compute @workgroup_size(groupThreads)
fn survey(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  for (var offset = thread; offset < groupTokens; offset += groupThreads) {
    let id = group.x * groupTokens + offset;
    if (id >= settings.vocabulary) { break; }
    let key = computeKey(id);
    keys[id] = key;
    atomicMax(&groupLargest, key);
  }
  workgroupBarrier();
  if (thread == 0u) { atomicMax(&state.largest, atomicLoad(&groupLargest)); }
}

// Computes the histogram of exponents: the number of tokens for top-k, or their weights for top-p.
@compute @workgroup_size(groupThreads)
fn weigh(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  let top = atomicLoad(&state.largest);
  for (var offset = thread; offset < groupTokens; offset += groupThreads) {
    let id = group.x * groupTokens + offset;
    if (id >= settings.vocabulary) { break; }
    let exponent = measureExponent(keys[id], top);
    if (exponent != unreachable) { addToBin(exponent >> 24u, measure(keys[id], top, settings.topK == 0u)); }
  }
  let bin = readBin(thread);
  let before = atomicAdd(&state.low[thread], bin.x);
  atomicAdd(&state.high[thread], bin.y + u32(before + bin.x < before));
}

// Lists all tokens that top-k, top-p and min-p can keep, and a few more.
@compute @workgroup_size(groupThreads)
fn gather(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  var farthest = settings.largestExponent;
  if (settings.topK > 0u || settings.topP > 0u) {
    let total = sumUp(thread, readStateBin(thread));
    var wanted = vec2u(settings.topK, 0u);
    if (settings.topK == 0u) { wanted = takeShare(total); }
    farthest = unreachable - 1u;
    if (!isLess(total, wanted)) { farthest = (findBin(thread, wanted).index << 24u) | 0xffffffu; }
  }
  let top = atomicLoad(&state.largest);
  let positionBits = scramblePosition();
  for (var offset = thread; offset < groupTokens; offset += groupThreads) {
    let id = group.x * groupTokens + offset;
    if (id >= settings.vocabulary) { break; }
    let exponent = measureExponent(keys[id], top);
    if (exponent > farthest || exponent == unreachable) { continue; }
    list[atomicAdd(&state.listed, 1u)] = computeCandidate(id, keys[id], positionBits);
  }
}

// Cuts the list and stores the chosen token. Runs in one workgroup.
@compute @workgroup_size(groupThreads)
fn choose(@builtin(local_invocation_index) thread: u32) {
  if (thread == 0u) {
    listed = atomicLoad(&state.listed);
    largest = atomicLoad(&state.largest);
  }
  workgroupBarrier();
  var cut = Cut(maskedKey, noToken);
  if (settings.topK > 0u) { cut = findCut(thread, cut, false, vec2u(0u)); }
  if (settings.topP > 0u) {
    var whole = vec2u(0u);
    if (settings.topK == 0u) { whole = sumUp(thread, readStateBin(thread)); }
    cut = findCut(thread, cut, true, whole);
  }
  var best = noCandidate;
  for (var index = thread; index < listed; index += groupThreads) {
    let candidate = list[index];
    if (!isKept(candidate, cut)) { continue; }
    if (settings.largestExponent != unreachable
      && measureExponent(candidate.key, largest) > settings.largestExponent) { continue; }
    best = better(best, candidate);
  }
  let winner = compete(thread, best);
  atomicStore(&state.low[thread], 0u);
  atomicStore(&state.high[thread], 0u);
  if (thread == 0u) { storeToken(winner); }
}

fn storeToken(best: Candidate) {
  let id = select(best.id, noToken, best.key == brokenKey);
  tokenId = array(id, 0u);
  if (settings.adjusts != 0u && id != noToken) { marks[id].x += 1u; }
  state.position += 1u;
  atomicStore(&state.listed, 0u);
  atomicStore(&state.largest, 0u);
}
`
