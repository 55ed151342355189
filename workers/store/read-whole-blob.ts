/** Browsers cannot read a `Blob` of more than 2 GiB in one piece. */
const maxSliceBytes = 2 ** 28

/**
 * Reads a whole file into memory, in slices.
 * @throws RangeError if the memory cannot be allocated; DOMException if the file cannot be read
 */
export async function readWholeBlob(
  blob: Pick<Blob, 'size' | 'slice'>,
  sliceBytes = maxSliceBytes,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(blob.size)
  for (let start = 0; start < blob.size; start += sliceBytes) {
    bytes.set(new Uint8Array(await blob.slice(start, start + sliceBytes).arrayBuffer()), start)
  }
  return bytes
}
