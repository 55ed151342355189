// A stand-in for a worker's private file system, in memory, because Node has none. It fails as browsers do, on request.

/** How a browser's sync access handles fail. */
type HandleFault =
  /** The browser has no sync access handles. */
  | 'missing'
  /** The browser has the method, but refuses each handle. */
  | 'refused'
  /** The methods of a handle return promises (Safari before 16.4). */
  | 'promises'
  | 'failing write'
  | 'failing flush'
  /** The quota is full. */
  | 'full'

export interface FakeFileSystem {
  readonly root: FileSystemDirectoryHandle
  /** The name of the error for a file that is open: WebKit has another one than the standard. */
  busyError: 'NoModificationAllowedError' | 'InvalidStateError'
  fault: HandleFault | undefined
  /** How many handles are open now. */
  readonly openHandles: number
  /** The paths of all files. */
  listFiles(): readonly string[]
}

interface FakeFile {
  readonly kind: 'file'
  bytes: Uint8Array<ArrayBuffer>
  isOpen: boolean
  /** When the file was last written. Never twice the same. */
  modifiedMs: number
}

interface FakeDirectory {
  readonly kind: 'directory'
  readonly entries: Map<string, FakeFile | FakeDirectory>
}

/** Creates an empty file system without a fault. */
export function createFakeFileSystem(): FakeFileSystem {
  const root: FakeDirectory = { kind: 'directory', entries: new Map() }
  let openHandles = 0
  let now = 0
  const tick = () => (now += 1)
  const system = {
    busyError: 'NoModificationAllowedError' as FakeFileSystem['busyError'],
    fault: undefined as HandleFault | undefined,
    get openHandles() {
      return openHandles
    },
    listFiles: () => listFiles(root, ''),
    root: describeDirectory(root, ''),
  }
  const busy = () => new DOMException('The file is open.', system.busyError)

  function describeDirectory(directory: FakeDirectory, name: string): FileSystemDirectoryHandle {
    const { entries } = directory
    const describe = (entry: FakeFile | FakeDirectory, entryName: string) =>
      entry.kind === 'file' ? describeFile(entry, entryName) : describeDirectory(entry, entryName)
    /** Returns the entry; creates it if `create` is given. */
    function find<Kind extends 'file' | 'directory'>(kind: Kind, entryName: string, create?: () => object) {
      const found = entries.get(entryName) ?? (create?.() as FakeFile | FakeDirectory | undefined)
      if (!found) throw new DOMException('There is no such entry.', 'NotFoundError')
      if (found.kind !== kind) throw new DOMException('The entry has another kind.', 'TypeMismatchError')
      entries.set(entryName, found)
      return found as Extract<FakeFile | FakeDirectory, { kind: Kind }>
    }
    const handle = {
      kind: 'directory',
      name,
      async getDirectoryHandle(entryName: string, { create = false } = {}) {
        const made = create ? () => ({ kind: 'directory', entries: new Map() }) : undefined
        return describeDirectory(find('directory', entryName, made), entryName)
      },
      async getFileHandle(entryName: string, { create = false } = {}) {
        const made = create
          ? () => ({ kind: 'file', bytes: new Uint8Array(), isOpen: false, modifiedMs: tick() })
          : undefined
        return describeFile(find('file', entryName, made), entryName)
      },
      async removeEntry(entryName: string) {
        const entry = entries.get(entryName)
        if (!entry) throw new DOMException('There is no such entry.', 'NotFoundError')
        if (isOpen(entry)) throw busy()
        entries.delete(entryName)
      },
      async *values() {
        for (const [entryName, entry] of entries) yield describe(entry, entryName)
      },
      async *entries() {
        for (const [entryName, entry] of entries) yield [entryName, describe(entry, entryName)] as const
      },
      [Symbol.asyncIterator]: () => handle.entries(),
    }
    return handle as unknown as FileSystemDirectoryHandle
  }

  function describeFile(file: FakeFile, name: string): FileSystemFileHandle {
    const handle = {
      kind: 'file',
      name,
      getFile: async () => new File([file.bytes.slice()], name, { lastModified: file.modifiedMs }),
      async createSyncAccessHandle() {
        if (system.fault === 'refused') throw new DOMException('Refused.', 'InvalidStateError')
        if (file.isOpen) throw busy()
        file.isOpen = true
        openHandles += 1
        return openFile(file)
      },
    }
    if (system.fault === 'missing') Reflect.deleteProperty(handle, 'createSyncAccessHandle')
    return handle as unknown as FileSystemFileHandle
  }

  function openFile(file: FakeFile): FileSystemSyncAccessHandle {
    const answer = <T>(value: T) => (system.fault === 'promises' ? (Promise.resolve(value) as T) : value)
    return {
      getSize: () => answer(file.bytes.length),
      read(buffer, { at = 0 } = {}) {
        const piece = file.bytes.subarray(at, at + buffer.length)
        buffer.set(piece)
        return answer(piece.length)
      },
      write(bytes, { at = 0 } = {}) {
        if (system.fault === 'failing write') throw new DOMException('The disk failed.', 'UnknownError')
        if (system.fault === 'full') throw new DOMException('There is no space.', 'QuotaExceededError')
        const grown = new Uint8Array(Math.max(file.bytes.length, at + bytes.length))
        grown.set(file.bytes)
        grown.set(bytes, at)
        file.bytes = grown
        file.modifiedMs = tick()
        return answer(bytes.length)
      },
      truncate(size) {
        file.bytes = file.bytes.slice(0, size)
      },
      flush() {
        if (system.fault === 'failing flush') throw new DOMException('The disk failed.', 'UnknownError')
      },
      close() {
        if (file.isOpen) openHandles -= 1
        file.isOpen = false
      },
    }
  }

  return system
}

function isOpen(entry: FakeFile | FakeDirectory): boolean {
  return entry.kind === 'file' ? entry.isOpen : [...entry.entries.values()].some(isOpen)
}

function listFiles({ entries }: FakeDirectory, prefix: string): string[] {
  return [...entries].flatMap(([name, entry]) =>
    entry.kind === 'file' ? [prefix + name] : listFiles(entry, `${prefix}${name}/`),
  )
}
