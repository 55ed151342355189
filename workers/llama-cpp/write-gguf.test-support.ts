type Value = string | number | boolean | readonly string[] | readonly number[]

/** Writes a GGUF file that has only metadata. Numbers are int32. */
export function writeGguf(metadata: Readonly<Record<string, Value>>): Blob {
  const entries = Object.entries(metadata)
  const parts = entries.flatMap(([key, value]) => [...writeString(key), ...writeValue(value)])
  return new Blob([
    writeUint32(0x46554747),
    writeUint32(3),
    writeUint64(0),
    writeUint64(entries.length),
    ...parts,
  ])
}

/** Value types, numbered as in the format. */
const types = { int32: 5, bool: 7, string: 8, array: 9 } as const

function writeValue(value: Value): Uint8Array<ArrayBuffer>[] {
  if (typeof value === 'string') return [writeUint32(types.string), ...writeString(value)]
  if (typeof value === 'number') return [writeUint32(types.int32), writeUint32(value)]
  if (typeof value === 'boolean') return [writeUint32(types.bool), Uint8Array.of(value ? 1 : 0)]
  const isText = typeof value[0] === 'string'
  const items = isText
    ? (value as readonly string[]).flatMap(writeString)
    : (value as readonly number[]).map(writeUint32)
  return [
    writeUint32(types.array),
    writeUint32(isText ? types.string : types.int32),
    writeUint64(value.length),
    ...items,
  ]
}

function writeString(text: string): Uint8Array<ArrayBuffer>[] {
  const bytes = new TextEncoder().encode(text)
  return [writeUint64(bytes.length), bytes]
}

function writeUint32(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint32Array.of(value).buffer)
}

function writeUint64(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer)
}
