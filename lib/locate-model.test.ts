import { describe, expect, expectTypeOf, it } from 'vitest'
import { nameModelUrl } from './contract/model-location.js'
import { defaultHubUrl, locateModel, locateRemote, type ModelSource } from './locate-model.js'

const base = 'https://app.example/chat/index.html?tab=1#top'

describe('a model’s folder', () => {
  it.each([
    [
      'HuggingFaceTB/SmolLM2-135M-Instruct',
      'https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct/resolve/main/',
    ],
    ['owner/name@v1.0', 'https://huggingface.co/owner/name/resolve/v1.0/'],
    ['owner/name.with_all-kinds', 'https://huggingface.co/owner/name.with_all-kinds/resolve/main/'],
    // A revision is one path segment (huggingface_hub, `hf_hub_url`).
    ['owner/name@refs/pr/1', 'https://huggingface.co/owner/name/resolve/refs%2Fpr%2F1/'],
  ])('is on the hub: %s', (source, url) => {
    expect(locateRemote(source, base, defaultHubUrl).url).toBe(url)
  })

  it.each([
    ['https://cdn.example/models/a/', 'https://cdn.example/models/a/'],
    ['https://cdn.example/models/a', 'https://cdn.example/models/a/'],
    ['https://cdn.example', 'https://cdn.example/'],
    ['http://localhost:8080/a b', 'http://localhost:8080/a%20b/'],
  ])('is at an absolute URL: %s', (source, url) => {
    expect(locateRemote(source, base, defaultHubUrl).url).toBe(url)
    expect(locateRemote(new URL(source), base, defaultHubUrl).url).toBe(url)
  })

  it.each([
    ['/models/a', 'https://app.example/models/a/'],
    ['./models/a/', 'https://app.example/chat/models/a/'],
    ['../models/a', 'https://app.example/models/a/'],
    ['./a', 'https://app.example/chat/a/'],
    ['//cdn.example/a', 'https://cdn.example/a/'],
  ])('is relative to the page: %s', (source, url) => {
    expect(locateRemote(source, base, defaultHubUrl).url).toBe(url)
  })

  it.each(['', 'model', 'models/a/b', 'owner/name@', '@main', 'owner/', 'owner/na me', '..', 'models\\a'])(
    'cannot be %j',
    (source) => {
      expect(() => locateRemote(source, base, defaultHubUrl)).toThrow(
        expect.objectContaining({
          name: 'RivuletError',
          code: 'invalid-option',
          message: expect.stringContaining(`"${source}"`),
        }),
      )
    },
  )

  it('is listed by its hub or a mirror; a commit never changes', async () => {
    const commit = '0123456789abcdef0123456789abcdef01234567'
    expect(await locateModel(`owner/name@${commit}`, { base, hubUrl: 'https://mirror.example/hub' })).toEqual(
      {
        kind: 'hub',
        url: `https://mirror.example/hub/owner/name/resolve/${commit}/`,
        name: `owner/name@${commit}`,
        listingUrl: `https://mirror.example/hub/api/models/owner/name/tree/${commit}?recursive=true`,
        isCommit: true,
      },
    )
    expect(await locateModel('owner/name', { base })).toMatchObject({ isCommit: false })
  })

  it('can be a list of local files', async () => {
    const chosen = [new File(['{}'], 'config.json'), new File(['x'], 'model_q4.onnx')]
    expect(await locateModel(chosen, { base })).toEqual({
      kind: 'local',
      name: 'files',
      files: new Map(chosen.map((file) => [file.name, file])),
    })
  })

  it('can be the files of a folder input, by their paths in the folder', async () => {
    const chosen = ['config.json', 'onnx/model.onnx'].map((path) =>
      Object.assign(new File(['x'], path.split('/').at(-1)!), { webkitRelativePath: `stories/${path}` }),
    )
    expect(await locateModel(chosen, { base })).toEqual({
      kind: 'local',
      name: 'stories',
      files: new Map([
        ['config.json', chosen[0]],
        ['onnx/model.onnx', chosen[1]],
      ]),
    })
  })

  it('can be a local folder, with its direct subfolders', async () => {
    const location = await locateModel(
      createFolder('stories', { 'config.json': 1, onnx: { 'model.onnx': 1, deeper: { 'model.onnx': 1 } } }),
      { base },
    )
    expect(location).toMatchObject({ kind: 'local', name: 'stories' })
    expect(location.kind === 'local' && [...location.files.keys()]).toEqual([
      'config.json',
      'onnx/model.onnx',
    ])
  })

  it('can be a File, a FileList, or an array of either', async () => {
    expectTypeOf<File | FileList | File[] | FileList[]>().toExtend<ModelSource>()
    expectTypeOf<Blob>().not.toExtend<ModelSource>()
    expectTypeOf<FileSystemFileHandle>().not.toExtend<ModelSource>()
    const [one, two] = [new File(['1'], 'one'), new File(['2'], 'two')]
    const list = createFileList([two])
    for (const [source, names] of [
      [one, ['one']],
      [list, ['two']],
      [
        [one, list],
        ['one', 'two'],
      ],
    ] as const) {
      const location = await locateModel(source, { base })
      expect(location.kind === 'local' && [...location.files.keys()]).toEqual(names)
    }
  })

  it('needs a start that marks a path: without one, it is a name on the hub', async () => {
    expect(await locateModel('models/stories', { base })).toMatchObject({ kind: 'hub' })
    expect(await locateModel('./models/stories', { base })).toMatchObject({ kind: 'folder' })
    expect(await locateModel('owner/name/onnx/a.gguf', { base })).toMatchObject({ file: 'onnx/a.gguf' })
  })

  it.each([
    ['an empty list', []],
    ['a list of names', ['config.json']],
    ['a list of objects', [{}]],
    ['a list in a list', [[new File(['x'], 'x')]]],
    ['a list with a hole', [undefined]],
    ['an empty FileList', createFileList([])],
    ['a number', 5],
    ['null', null],
    ['a function', () => {}],
    ['an object', { url: './models/a/' }],
    ['bytes', new Uint8Array(4)],
    ['a Blob', new Blob(['GGUF'])],
    ['a file handle', { kind: 'file', [Symbol.toStringTag]: 'FileSystemFileHandle' }],
    ['a promise', Promise.resolve('./models/a/')],
  ])('cannot be %s', async (_, source) => {
    await expect(locateModel(source as never, { base })).rejects.toMatchObject({
      name: 'RivuletError',
      code: 'invalid-option',
      details: { option: 'model' },
    })
  })

  it.each([
    ['a Blob', new Blob(['GGUF']), 'new File([blob], name)'],
    [
      'a file handle',
      { kind: 'file', [Symbol.toStringTag]: 'FileSystemFileHandle' },
      'await handle.getFile()',
    ],
  ])('that is %s is refused with what to pass instead', async (_, source, advice) => {
    await expect(locateModel(source as never, { base })).rejects.toThrow(advice)
  })
})

describe('an address', () => {
  it.each(['https://cdn.example/a/?signature=1', 'https://cdn.example/a?signature=1#part'])(
    'of a folder passes its query to the requests, not to its identity: %s',
    async (source) => {
      expect(await locateModel(source, { base })).toEqual({
        kind: 'folder',
        url: 'https://cdn.example/a/',
        query: '?signature=1',
      })
    },
  )

  it('of a GGUF file is the same model with every signature, and as any of its parts', () => {
    const identify = (source: string) => nameModelUrl(locateRemote(source, base, defaultHubUrl))
    expect(identify('/m/a.gguf?s=1')).toBe('https://app.example/m/a.gguf')
    expect(identify('/m/a.gguf?s=2')).toBe(identify('/m/a.gguf'))
    expect(identify('/m/b.gguf')).not.toBe(identify('/m/a.gguf'))
    expect(identify('/m/a-00002-of-00003.gguf')).toBe('https://app.example/m/a-00001-of-00003.gguf')
    expect(identify('owner/name/sub/a.gguf')).toBe(
      'https://huggingface.co/owner/name/resolve/main/sub/a.gguf',
    )
    expect(identify('/m/')).toBe('https://app.example/m/')
  })

  it('that ends with .json is the list of a folder’s files', async () => {
    expect(await locateModel('./models/stories/files.json?v=2', { base })).toEqual({
      kind: 'folder',
      url: 'https://app.example/chat/models/stories/',
      query: '?v=2',
      listingUrl: 'https://app.example/chat/models/stories/files.json?v=2',
    })
  })

  it('without .gguf is a file for a backend that takes files, except with a slash at its end', async () => {
    const locate = (source: string) => locateModel(source, { base, takesFile: true })
    expect(await locate('https://cdn.example/blobs/sha256-1?s=1')).toEqual({
      kind: 'folder',
      url: 'https://cdn.example/blobs/',
      query: '?s=1',
      file: 'sha256-1',
    })
    expect(await locate('https://cdn.example/blobs/')).toEqual({
      kind: 'folder',
      url: 'https://cdn.example/blobs/',
    })
  })

  it.each(['blob:https://app.example/0', 'data:,GGUF'])('cannot be %s', (source) => {
    expect(() => locateRemote(source, base, defaultHubUrl)).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining('the File') }),
    )
  })
})

/** Stands in for the `FileList` of an input, which Node does not have. */
function createFileList(files: readonly File[]): FileList {
  return {
    [Symbol.toStringTag]: 'FileList',
    [Symbol.iterator]: () => files.values(),
  } as unknown as FileList
}

interface Tree {
  readonly [name: string]: Tree | 1
}

/** Stands in for a directory handle, which Node does not have. */
function createFolder(name: string, tree: Tree): FileSystemDirectoryHandle {
  const entries = Object.entries(tree).map(([entry, inner]) =>
    inner === 1
      ? { kind: 'file', name: entry, getFile: () => Promise.resolve(new File([], entry)) }
      : createFolder(entry, inner),
  )
  const values = async function* () {
    yield* entries
  }
  return { kind: 'directory', name, values } as unknown as FileSystemDirectoryHandle
}
