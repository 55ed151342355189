/**
 * Matches the declaration of a function's variable without an initial value. Variables of a module have an address space
 * (`var<private>`), or are textures or samplers.
 */
const declaration = /\bvar\s+(\w+)\s*:\s*(?!\s|texture_|sampler)([^=;]+?)\s*;/g

/**
 * Writes the initial value of each variable into a shader: `var x : f32;` becomes `var x : f32 = f32();`.
 *
 * Both mean the same: WGSL sets such a variable to zero each time the declaration is executed (WGSL, "Variable and Value
 * Declarations"). But with Vulkan, Chromium 156 sets it to zero only once per function, so that in a loop it keeps the
 * value of the last iteration. FlashAttention of ONNX Runtime 1.30.0, which computes prompts of 32 or more tokens, then
 * adds up wrong scores.
 */
export function zeroVariables(code: string): string {
  return code.replaceAll(declaration, 'var $1 : $2 = $2();')
}
