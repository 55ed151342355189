/** Returns true if a file starts like a GGUF file, whatever its name. */
export async function isGguf(file: Blob): Promise<boolean> {
  return (await file.slice(0, 4).text()) === 'GGUF'
}
