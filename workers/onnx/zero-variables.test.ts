import { expect, it } from 'vitest'
import { zeroVariables } from './zero-variables.js'

it('a variable without an initial value gets the zero of its type', () => {
  const body = (first: string, second: string, third: string) => `
var<workgroup> tile : array<vec4<f32>, 16>;
var<private> total: f32;
@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var image : texture_2d<f32>;
@group(0) @binding(2) var image_sampler: sampler;
fn main() {
  var known : u32 = 3u;
  var inferred = 1.0;
  ${first}
  for (var i : u32 = 0; i < 4; i++) { ${second} ${third} }
}`
  const code = body('var x: f32;', 'var score : vec4<qk_precision>;', 'var parts : array<vec2<f32>, 4> ;')
  expect(zeroVariables(code)).toBe(
    body(
      'var x : f32 = f32();',
      'var score : vec4<qk_precision> = vec4<qk_precision>();',
      'var parts : array<vec2<f32>, 4> = array<vec2<f32>, 4>();',
    ),
  )
})
