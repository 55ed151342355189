import { create, toBinary } from '@bufbuild/protobuf'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runtimeFolderName } from '../../lib/contract/store-layout.js'
import { createNode } from './graph-edit.js'
import { ModelProtoSchema } from './onnx_pb.js'
import type { StartOrder, StartReply } from './start-worker.test-support.js'
import { tensorTypes } from './tensor-types.js'

const float = { value: { case: 'tensorType', value: { elemType: tensorTypes.float32 } } } as const

/** A model that adds its input to itself. */
const model = Uint8Array.of(
  // The field `ir_version`.
  8,
  8,
  ...toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      opsetImport: [{ version: 13n }],
      graph: {
        name: 'add',
        node: [createNode('Add', ['x', 'x'], ['y'])],
        input: [{ name: 'x', type: float }],
        output: [{ name: 'y', type: float }],
      },
    }),
  ),
)

const workers: Worker[] = []
afterEach(() => workers.splice(0).forEach((worker) => worker.terminate()))

/** Starts ONNX Runtime in a new worker, which stays until the test ends: it still writes its record. */
function start(cached?: Uint8Array<ArrayBuffer>): Promise<StartReply> {
  const worker = new Worker(new URL('./start-worker.test-support.ts', import.meta.url), { type: 'module' })
  workers.push(worker)
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data as StartReply)
    worker.onerror = ({ message }) => reject(new Error(message))
    worker.postMessage({ model, cached } satisfies StartOrder, [])
  })
}

const output = [2, 4, 6]

beforeEach(async () => {
  const root = await navigator.storage.getDirectory()
  await root.removeEntry(runtimeFolderName, { recursive: true }).catch(() => {})
  expect(await start()).toMatchObject({ starts: 1, output })
})

it('ONNX Runtime computes its start once; later workers get what it left, and compute the same', async () => {
  // The first worker writes its record after its start.
  await expect.poll(() => start(), { timeout: 10_000 }).toMatchObject({ starts: 0, output })
})

it('other WebAssembly that a worker loads during the start is left alone', async () => {
  expect(await start()).toMatchObject({ isOtherLeft: true, output })
})

it('WebAssembly with another hash in the HTTP cache does not run: the store has the right one', async () => {
  const emptyModule = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)
  expect(await start(emptyModule)).toMatchObject({ output, cacheReads: 1 })
  // The HTTP cache is not asked again.
  expect(await start(emptyModule)).toMatchObject({ output, cacheReads: 0 })
})
