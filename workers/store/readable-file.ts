/** A file that is open for reading. Reads are synchronous, because ONNX Runtime takes weights in a callback that cannot wait. */
export interface OpenFile {
  readonly byteLength: number
  /** Fills `target` with the bytes from `at` on. @throws an error if the file has ended or changed, or cannot be read */
  readInto(target: Uint8Array<ArrayBuffer>, at: number): void
}

/** A file to close after reading. Until then, the browser may refuse to replace or remove the file. */
export interface ReadableFile extends OpenFile {
  close(): void
}

/** How many bytes of a blob are read at once: each read waits for another process of the browser. */
const blobPieceBytes = 2 ** 22

/** Browsers cannot read a `Blob` of more than 2 GiB in one piece. */
const maxSliceBytes = 2 ** 28

/** Opens a blob. Without `FileReaderSync` (Node), its bytes are read into memory. */
export async function openBlob(blob: Blob): Promise<ReadableFile> {
  if (!('FileReaderSync' in globalThis)) return openBytes(await readSlices(blob))
  const reader = new FileReaderSync()
  let [start, piece] = [0, new Uint8Array()]
  return {
    byteLength: blob.size,
    readInto(target, at) {
      checkEnd(blob.size, target, at)
      for (let done = 0; done < target.length;) {
        const next = at + done
        if (next < start || next >= start + piece.length) {
          // Cleared first: a read that fails leaves no piece.
          piece = new Uint8Array()
          piece = new Uint8Array(reader.readAsArrayBuffer(blob.slice(next, next + blobPieceBytes)))
          start = next
        }
        const part = piece.subarray(next - start, next - start + target.length - done)
        if (part.length === 0) throw createEndError(next)
        target.set(part, done)
        done += part.length
      }
      // A model has many parts, and each is read from start to end.
      if (at + target.length === blob.size) piece = new Uint8Array()
    },
    close() {
      piece = new Uint8Array()
    },
  }
}

/**
 * Reads a whole blob into memory, in slices.
 * @throws RangeError if the memory cannot be allocated; DOMException if the blob cannot be read
 */
export async function readSlices(
  blob: Pick<Blob, 'size' | 'slice'>,
  sliceBytes = maxSliceBytes,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(blob.size)
  for (let start = 0; start < blob.size; start += sliceBytes) {
    bytes.set(new Uint8Array(await blob.slice(start, start + sliceBytes).arrayBuffer()), start)
  }
  return bytes
}

/** Opens bytes in memory as a file. */
export function openBytes(bytes: Uint8Array<ArrayBuffer>): ReadableFile {
  return {
    byteLength: bytes.length,
    readInto(target, at) {
      checkEnd(bytes.length, target, at)
      target.set(bytes.subarray(at, at + target.length))
    },
    close() {},
  }
}

/** Opens a sync access handle as a file. Closing the file closes the handle. */
export function openSyncHandle(handle: FileSystemSyncAccessHandle): ReadableFile {
  return {
    byteLength: handle.getSize(),
    readInto(target, at) {
      for (let done = 0, read = 0; done < target.length; done += read) {
        read = handle.read(target.subarray(done), { at: at + done })
        if (read <= 0) throw createEndError(at + done)
      }
    },
    close: () => handle.close(),
  }
}

/** Joins the parts of a file. */
export function joinParts(parts: readonly ReadableFile[]): ReadableFile {
  let byteLength = 0
  const ends = parts.map((part) => (byteLength += part.byteLength))
  return {
    byteLength,
    readInto(target, at) {
      checkEnd(byteLength, target, at)
      let index = ends.findIndex((end) => at < end)
      for (let done = 0; done < target.length; index += 1) {
        const left = ends[index]! - (at + done)
        const piece = target.subarray(done, done + left)
        parts[index]!.readInto(piece, parts[index]!.byteLength - left)
        done += piece.length
      }
    },
    close() {
      for (const part of parts) part.close()
    },
  }
}

/** Reads a whole file into memory. @throws RangeError if the memory cannot be allocated; as `readInto` */
export function readWhole(file: OpenFile): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(file.byteLength)
  file.readInto(bytes, 0)
  return bytes
}

function checkEnd(byteLength: number, target: Uint8Array, at: number): void {
  if (at + target.length > byteLength) throw createEndError(byteLength)
}

function createEndError(sizeBytes: number): DOMException {
  return new DOMException(`The file ends after ${sizeBytes} bytes.`, 'NotReadableError')
}
