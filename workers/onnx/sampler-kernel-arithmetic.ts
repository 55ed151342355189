/** The bit of a token's mark that is set if the prompt contains the token. The lower bits count the token in the answer. */
export const promptMark = 0x80000000

/**
 * Reads logits in WGSL, with the functions of sampler-arithmetic.ts, which documents them.
 *
 * Logits are read as integers: a WGSL implementation may assume that NaN and infinity do not occur
 * (https://www.w3.org/TR/WGSL/#floating-point-evaluation), so only the bits identify them reliably. For the same reason,
 * half floats are converted by hand, which also works without `shader-f16`.
 */
export const kernelLogits = /* wgsl */ `
override isHalf: bool = false;

const brokenKey = 0xffffffffu;
const maskedKey = 0u;

fn readBits(id: u32) -> u32 {
  if (!isHalf) { return logits[id]; }
  let half = (logits[id >> 1u] >> ((id & 1u) * 16u)) & 0xffffu;
  let sign = (half & 0x8000u) << 16u;
  let exponent = (half >> 10u) & 0x1fu;
  let fraction = half & 0x3ffu;
  if (exponent == 0x1fu) { return sign | 0x7f800000u | (fraction << 13u); }
  if (exponent == 0u) { return sign | bitcast<u32>(f32(fraction) * 0x1p-24f); }
  return sign | ((exponent + 112u) << 23u) | (fraction << 13u);
}

fn toKey(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  let isNegative = (bits >> 31u) == 1u;
  if (magnitude >= 0x7f800000u) {
    return select(brokenKey, maskedKey, isNegative && magnitude == 0x7f800000u);
  }
  if (magnitude < 0x00800000u) { return 0x80000000u; }
  let bounded = min(magnitude, 0x71800000u) | 0x80000000u;
  return select(bounded, ~bounded, isNegative);
}

fn toLogit(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) == 1u));
}

`

/** The rest of sampler-arithmetic.ts in WGSL, operation for operation. */
export const kernelArithmetic = /* wgsl */ `
const noToken = 0xffffffffu;
const unreachable = 0xffffffffu;

// Forces rounding to f32. A compiler may fuse a * b + c into one rounding, which JavaScript cannot reproduce
// (https://www.w3.org/TR/WGSL/#reassociation-and-fusion). It cannot fuse across an xor with a value it does not know.
fn fround(value: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(value) ^ settings.zero);
}

fn computeKey(id: u32) -> u32 {
  let key = toKey(readBits(id));
  if (settings.masks != 0u && key != brokenKey && ((mask[id >> 5u] >> (id & 31u)) & 1u) == 0u) { return maskedKey; }
  if (settings.adjusts == 0u || key == brokenKey || key == maskedKey) { return key; }
  let mark = marks[id];
  let count = mark.x & ~${promptMark}u;
  var logit = toLogit(key);
  if (mark.x != 0u) { logit = fround(logit * select(settings.penalty, settings.reward, logit > 0)); }
  if (count > 0u) {
    logit = fround(logit - fround(fround(f32(count) * settings.frequency) + settings.presence));
  }
  return toKey(bitcast<u32>(logit + bitcast<f32>(mark.y)));
}

fn measureExponent(key: u32, largest: u32) -> u32 {
  if (key == maskedKey || largest == brokenKey) { return unreachable; }
  let distance = fround(toLogit(largest) - toLogit(key));
  if (distance >= settings.reach) { return unreachable; }
  return u32(fround(distance * settings.exponentScale));
}

fn computeWeight(exponent: u32) -> u32 {
  let fraction = (exponent >> 11u) & 0xffffu;
  let cubic = 3549u - ((481u * fraction) >> 16u);
  let square = 15726u - ((cubic * fraction) >> 16u);
  let slope = 45426u - ((square * fraction) >> 16u);
  return ((65536u - ((slope * fraction) >> 16u)) << 15u) >> (exponent >> 27u);
}

fn computeLog2(value: u32) -> u32 {
  let zeros = countLeadingZeros(value);
  let x = ((value << zeros) >> 15u) & 0xffffu;
  let quartic = 6448u - ((1722u * x) >> 16u);
  let cubic = 12115u - ((quartic * x) >> 16u);
  let square = 18136u - ((cubic * x) >> 16u);
  let bow = 29010u - ((square * x) >> 16u);
  return (31u - zeros) * 65536u + x + ((((x * (65536u - x)) >> 14u) * bow) >> 18u);
}

fn computeNoise(random: u32) -> i32 {
  let odd = random | 1u;
  if (odd < 0x80000000u) {
    let x = odd >> 15u;
    let square = 254u + ((1656u * x) >> 16u);
    let slope = 5385u + ((square * x) >> 16u);
    let excess = ((23585u + ((slope * x) >> 16u)) * x) >> 16u;
    return i32(32u * 65536u - computeLog2(odd) - excess);
  }
  let logarithm = 32u * 65536u - computeLog2(0u - odd);
  return i32(16u * 65536u + 34653u) - i32(computeLog2(logarithm));
}

fn scramble(value: u32) -> u32 {
  let once = (value ^ (value >> 16u)) * 0x85ebca6bu;
  let twice = (once ^ (once >> 13u)) * 0xc2b2ae35u;
  return twice ^ (twice >> 16u);
}
`
