import { describe, expect, it } from 'vitest'
import type { BackendFactory, BackendModel } from './backend-factory.js'
import { checkEngineOptions, type EngineOptions } from './engine-options.js'

function backend(name: string, model: BackendModel): BackendFactory {
  return {
    name,
    options: {},
    model,
    checkAvailability: () => Promise.resolve({ isAvailable: true }),
    createWorker: () => {
      throw new Error('not to be created')
    },
  }
}

const local = backend('onnx', { kind: 'engine' })
const localWithModel = backend('llama-cpp', { kind: 'source', source: './model.gguf' })
const server = backend('remote', { kind: 'named' })

/** Takes what no type would allow: callers can be written in JavaScript. */
const check = (options: unknown) => () => checkEngineOptions(options as EngineOptions)
const refusal = (option: string) => expect.objectContaining({ code: 'invalid-option', details: { option } })

describe('createEngine()', () => {
  it.each([
    ['a backend and a model', { backend: local, model: './models/stories/' }],
    ['a backend with a model of its own', { backend: localWithModel }],
    ['a server', { backend: server }],
    ['a list with one model', { backend: [local, localWithModel, server], model: 'owner/name' }],
    ['download options for a local backend of a list', { backend: [localWithModel, server], download: {} }],
    ['an observer', { backend: server, observer: {} }],
    ['a shared host', { backend: server, host: 'shared' }],
    ['a shared host with options', { backend: server, host: { kind: 'shared', lingerMs: 0, worker() {} } }],
    ['a worker that is never taken for dead', { backend: server, silenceTimeoutMs: Infinity }],
    ['a list of observers', { backend: server, observer: [{ onEnd() {} }, {}] }],
  ])('accepts %s', (_, options) => {
    expect(check(options)).not.toThrow()
  })

  it.each([
    ['a model that no backend uses', { backend: server, model: 'owner/name' }, 'model'],
    [
      'a model beside backends that have their own',
      { backend: [localWithModel, server], model: 'owner/name' },
      'model',
    ],
    ['no model where a backend needs one', { backend: [server, local] }, 'model'],
    [
      'download options that no backend uses',
      { backend: server, download: { revalidate: false } },
      'download',
    ],
    ['no backend', { model: './model/' }, 'backend'],
    ['a function as the backend', { backend: () => local, model: './model/' }, 'backend'],
    ['a function as the observer', { backend: server, observer: () => {} }, 'observer'],
    ['null as the observer', { backend: server, observer: [null] }, 'observer'],
    ['a misspelt option', { backend: server, onprogress() {} }, 'onprogress'],
    ['a callback that is not a function', { backend: server, onProgress: true }, 'onProgress'],
    ['an unknown host', { backend: server, host: 'page' }, 'host'],
    ['no host', { backend: server, host: null }, 'host'],
    ['options of the host of this tab', { backend: server, host: { kind: 'tab' } }, 'host'],
    ['an endless linger', { backend: server, host: { kind: 'shared', lingerMs: Infinity } }, 'host'],
    ['a misspelt option of the host', { backend: server, host: { kind: 'shared', linger: 1 } }, 'linger'],
    [
      'a SharedWorker instead of a function',
      { backend: server, host: { kind: 'shared', worker: {} } },
      'host',
    ],
    ['no time for progress', { backend: server, silenceTimeoutMs: 0 }, 'silenceTimeoutMs'],
    ['a string for true', { backend: server, recover: 'yes' }, 'recover'],
    ['a controller as the signal', { backend: server, signal: new AbortController() }, 'signal'],
  ])('refuses %s', (_, options, option) => {
    expect(check(options)).toThrow(refusal(option))
  })
})
