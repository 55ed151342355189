import { create, toBinary } from '@bufbuild/protobuf'
import type { OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import { fetchRuntimeFile, type RuntimeContent, type RuntimeFetch } from '../store/runtime-file.js'
import { ModelProtoSchema } from './onnx_pb.js'
import { describeRuntimeFile } from './runtime-files.js'
import { chooseBuild, createStartError, loadOnnxRuntime, type OnnxRuntime } from './session.js'
import { tensorTypes } from './tensor-types.js'

/**
 * Loads the build of onnxruntime-web for a device and starts it. Its WebAssembly comes from the model store, or is downloaded
 * to it.
 * @throws RivuletError `backend-unavailable`, and the codes of `fetchRuntimeFile`; the reason of `signal`
 */
export function startOnnxRuntime(
  device: 'webgpu' | 'wasm',
  wasmPaths: OnnxLoadOptions['wasmPaths'],
  options: RuntimeOptions,
): Promise<OnnxRuntime> {
  const started = lastStart.then(() => start(device, wasmPaths, options))
  lastStart = started.catch(() => {})
  return started
}

type RuntimeOptions = Omit<RuntimeFetch, 'packageName' | 'usesHttpCache'>

/** Only one build starts at a time, since each replaces `fetch`. */
let lastStart: Promise<unknown> = Promise.resolve()

async function start(
  device: 'webgpu' | 'wasm',
  wasmPaths: OnnxLoadOptions['wasmPaths'],
  options: RuntimeOptions,
): Promise<OnnxRuntime> {
  const runtime = await loadOnnxRuntime(device, wasmPaths)
  const build = chooseBuild(device, wasmPaths)
  const file = describeRuntimeFile(build, runtime.env.versions.web)
  const fetching = { ...options, packageName: 'onnxruntime-web', usesHttpCache: true } as const
  const interception = interceptWasm(wasmPaths?.[build], (url) => fetchRuntimeFile(url, file, fetching))
  try {
    // ONNX Runtime loads its WebAssembly with its first session.
    const session = await runtime.InferenceSession.create(smallestModel, { executionProviders: ['wasm'] })
    await session.release()
    return runtime
  } catch (error) {
    throw interception.failure ?? createStartError(error)
  } finally {
    interception.end()
  }
}

/**
 * Answers ONNX Runtime's requests for its WebAssembly with the result of `read`. Only ONNX Runtime's own script knows the
 * address of the file, which a bundler may have renamed. So this function replaces `fetch` until ONNX Runtime has started.
 * @param address the address of the file, if the app has set it
 */
function interceptWasm(
  givenAddress: string | undefined,
  read: (url: string) => Promise<RuntimeContent>,
): { readonly failure: unknown; end(): void } {
  const { fetch } = self
  let address = givenAddress
  let failure: unknown
  const answerWith = (answer: (url: string) => Promise<Response>) => {
    self.fetch = (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input, self.location.href)
      const isWasm = address === undefined ? url.pathname.endsWith('.wasm') : url.href === address
      return isWasm ? answer(url.href) : fetch(input, init)
    }
  }
  answerWith(async (url) => {
    // `read` itself requests this address.
    self.fetch = fetch
    address = url
    try {
      const { blob, cached } = await read(url)
      const answer = async () => new Response(blob, { headers: { 'content-type': 'application/wasm' } })
      // ONNX Runtime requests the file again if the browser cannot compile it while it arrives.
      answerWith(answer)
      return cached ?? (await answer())
    } catch (error) {
      failure = error
      // ONNX Runtime then requests the file again. It must not get a file that was not checked.
      answerWith(() => Promise.reject(error))
      throw error
    }
  })
  return {
    get failure() {
      return failure
    },
    end() {
      self.fetch = fetch
    },
  }
}

/** The field `ir_version` of a ModelProto, which the schema here does not have. */
const irVersion8 = [8, 8]

const float = {
  value: { case: 'tensorType', value: { elemType: tensorTypes.float32 } },
} as const

/** A model with one node, which copies its input. */
const smallestModel = Uint8Array.of(
  ...irVersion8,
  ...toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      opsetImport: [{ version: 13n }],
      graph: {
        name: 'copy',
        node: [{ opType: 'Identity', input: ['x'], output: ['y'] }],
        input: [{ name: 'x', type: float }],
        output: [{ name: 'y', type: float }],
      },
    }),
  ),
)
