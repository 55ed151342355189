import { describe, expect, expectTypeOf, it } from 'vitest'
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

  it('takes the files of an input as an array', () => {
    expectTypeOf<File[]>().toExtend<ModelSource>()
    expectTypeOf<FileList>().not.toExtend<ModelSource>()
  })

  it('needs a start that marks a path: without one, it is a name on the hub', async () => {
    expect(await locateModel('models/stories', { base })).toMatchObject({ kind: 'hub' })
    expect(await locateModel('./models/stories', { base })).toMatchObject({ kind: 'folder' })
    expect(await locateModel('owner/name/onnx/a.gguf', { base })).toMatchObject({ file: 'onnx/a.gguf' })
  })

  it.each([[[]], [['config.json']], [[{}]]])('cannot be the list %j', async (source) => {
    await expect(locateModel(source as never, { base })).rejects.toMatchObject({ code: 'invalid-option' })
  })
})

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
