/** The values of WebGPU's flags (https://www.w3.org/TR/webgpu/). The types used here declare no constants for the flags. */
export const bufferUsage = {
  mapRead: 1,
  mapWrite: 2,
  copySource: 4,
  copyTarget: 8,
  uniform: 64,
  storage: 128,
} as const

export const mapMode = { read: 1 } as const
