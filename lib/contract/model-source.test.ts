import { describe, expect, it } from 'vitest'
import { defaultHubUrl, locateModel, locateRemote } from './model-source.js'

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
    'is refused: %j',
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

  it('is listed by its hub, wherever that is; a commit never changes', async () => {
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

  it('is a list of the visitor’s files', async () => {
    const chosen = [new File(['{}'], 'config.json'), new File(['x'], 'model_q4.onnx')]
    expect(await locateModel(chosen, { base })).toEqual({
      kind: 'local',
      name: 'files',
      files: new Map(chosen.map((file) => [file.name, file])),
    })
  })

  it.each([[[]], [['config.json']], [[{}]]])('is refused: the list %j', async (source) => {
    await expect(locateModel(source as never, { base })).rejects.toMatchObject({ code: 'invalid-option' })
  })
})
