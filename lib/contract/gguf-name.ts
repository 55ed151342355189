/** Matches the name of a GGUF file. */
export const ggufPattern = /\.gguf$/i

/** Matches the part number in llama.cpp's file names for a split model (`llama_split_path`). */
export const ggufPartPattern = /-(?<index>\d{5})-of-(?<count>\d{5})(?=\.gguf$)/i

/** Returns the paths of all parts of a split model, in order; only `path` itself if the model is not split. */
export function listGgufParts(path: string): readonly string[] {
  const part = ggufPartPattern.exec(path)?.groups
  if (!part) return [path]
  return Array.from({ length: Number(part.count) }, (_, index) =>
    path.replace(ggufPartPattern, () => `-${String(index + 1).padStart(5, '0')}-of-${part.count}`),
  )
}
