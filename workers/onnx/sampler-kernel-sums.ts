/** The number of threads in a workgroup, which is also the number of bins in a histogram. */
export const groupThreads = 256

/** WGSL functions for 64-bit sums, and for a histogram of such sums in each workgroup. */
export const kernelSums = /* wgsl */ `
// 64-bit sums, as vec2u(low, high). Sums of integers do not depend on the order, so atomics can compute them.
fn add(a: vec2u, b: vec2u) -> vec2u {
  let low = a.x + b.x;
  return vec2u(low, a.y + b.y + u32(low < a.x));
}

fn subtract(a: vec2u, b: vec2u) -> vec2u {
  return vec2u(a.x - b.x, a.y - b.y - u32(a.x < b.x));
}

fn isLess(a: vec2u, b: vec2u) -> bool {
  return a.y < b.y || (a.y == b.y && a.x < b.x);
}

fn multiply(a: u32, b: u32) -> vec2u {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let cross = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return vec2u((cross << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (middle >> 16u) + (cross >> 16u));
}

// The share of the total weight that top-p keeps.
fn takeShare(total: vec2u) -> vec2u {
  let share = add(multiply(total.y, settings.topP), vec2u(multiply(total.x, settings.topP).y, 0u));
  return vec2u(max(share.x, select(0u, 1u, share.y == 0u)), share.y);
}

// A histogram with one bin for each thread.
var<workgroup> low: array<atomic<u32>, groupThreads>;
var<workgroup> high: array<atomic<u32>, groupThreads>;
// The prefix sums of the histogram.
var<workgroup> sums: array<vec2u, groupThreads>;
var<workgroup> found: Bin;

// The bin in which a prefix sum reaches its target.
struct Bin { index: u32, before: vec2u, amount: vec2u }

fn clearBins(thread: u32) {
  atomicStore(&low[thread], 0u);
  atomicStore(&high[thread], 0u);
  workgroupBarrier();
}

fn addToBin(bin: u32, amount: u32) {
  let before = atomicAdd(&low[bin], amount);
  if (before + amount < before) { atomicAdd(&high[bin], 1u); }
}

// Computes the prefix sums of one amount per thread, in two rounds of 16. Returns the total.
fn sumUp(thread: u32, amount: vec2u) -> vec2u {
  sums[thread] = amount;
  workgroupBarrier();
  if (thread % 16u == 0u) {
    for (var next = thread + 1u; next < thread + 16u; next += 1u) { sums[next] = add(sums[next], sums[next - 1u]); }
  }
  workgroupBarrier();
  var sum = sums[thread];
  for (var last = 15u; last < thread / 16u * 16u; last += 16u) { sum = add(sum, sums[last]); }
  workgroupBarrier();
  sums[thread] = sum;
  return workgroupUniformLoad(&sums[groupThreads - 1u]);
}

// Finds the bin in which the prefix sum reaches the target. The target is at most the total.
fn findBin(thread: u32, wanted: vec2u) -> Bin {
  var before = vec2u(0u);
  if (thread > 0u) { before = sums[thread - 1u]; }
  let sum = sums[thread];
  if (!isLess(sum, wanted) && isLess(before, wanted)) { found = Bin(thread, before, subtract(sum, before)); }
  return workgroupUniformLoad(&found);
}

fn readBin(thread: u32) -> vec2u {
  workgroupBarrier();
  return vec2u(atomicLoad(&low[thread]), atomicLoad(&high[thread]));
}
`
