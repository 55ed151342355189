import { create, toBinary } from '@bufbuild/protobuf'
import type { OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import { version as libraryVersion } from '../../lib/contract/version.js'
import {
  fetchRuntimeFile,
  openRuntime,
  type RuntimeContent,
  type RuntimeFetch,
  type RuntimeFile,
} from '../store/runtime-file.js'
import {
  readRuntimeRecord,
  removeRuntimeRecord,
  writeRuntimeRecord,
  type RuntimeRecord,
} from '../store/runtime-record.js'
import { ModelProtoSchema } from './onnx_pb.js'
import { describeRuntimeFile } from './runtime-files.js'
import { decodeStart, encodeStart, recordStart, repeatStart } from './start-record.js'
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
  const build = chooseBuild(device, wasmPaths)
  // At once: the store answers while the script of ONNX Runtime is loaded.
  const opening = openRuntime(packageName, describeRuntimeFile(build).path)
  const runtime = await loadOnnxRuntime(device, wasmPaths)
  const file = describeRuntimeFile(build, runtime.env.versions.web)
  const fetching = { ...options, packageName, usesHttpCache: true } as const
  let isRequested = false
  const requests = interceptWasm(wasmPaths?.[build], async (url) => {
    isRequested = true
    return fetchRuntimeFile(url, file, await opening, fetching)
  })
  const record = build === 'jspi' ? describeStartRecord(runtime, file) : undefined
  const instances = interceptInstances(record, requests.verify)
  try {
    // ONNX Runtime loads its WebAssembly with its first session.
    const session = await runtime.InferenceSession.create(smallestModel, { executionProviders: ['wasm'] })
    await session.release()
    instances.keepStart()
    return runtime
  } catch (error) {
    await instances.forgetStart()
    throw requests.failure ?? createStartError(error)
  } finally {
    instances.end()
    requests.end()
    // Otherwise, the request closes it.
    if (!isRequested) (await opening).close()
  }
}

const packageName = 'onnxruntime-web'

/**
 * Describes the record of a start. Only in the build with JSPI, the imports and exports have names.
 * @returns undefined if the WebAssembly is unknown
 */
function describeStartRecord({ env }: OnnxRuntime, { path, sha256 }: RuntimeFile): RuntimeRecord | undefined {
  if (sha256 === undefined) return undefined
  const version = [libraryVersion, sha256, env.logLevel, navigator.language].join()
  return { packageName, path: `${path}.start`, version }
}

function isOnnxRuntime(module: WebAssembly.Module): boolean {
  return WebAssembly.Module.exports(module).some(({ name }) => name === 'OrtInit')
}

/**
 * Until `end` is called, gives an instance of ONNX Runtime's WebAssembly the memory that an earlier start has left; or records
 * what its start leaves, if there is no usable record.
 * @param record undefined if the start cannot be repeated
 * @param verify settles when the bytes of an answer to a request are verified. Until then, nothing of them runs.
 */
function interceptInstances(
  record: RuntimeRecord | undefined,
  verify: (response: Response) => Promise<void>,
) {
  const original = {
    instantiate: WebAssembly.instantiate,
    instantiateStreaming: WebAssembly.instantiateStreaming,
  }
  const reading = record && readRuntimeRecord(record)
  let recorder: ReturnType<typeof recordStart> | undefined
  let isRepeated = false

  async function createInstance(
    module: WebAssembly.Module,
    imports: WebAssembly.Imports,
  ): Promise<WebAssembly.Instance> {
    const earlier = await reading
    if (earlier) {
      isRepeated = true
      const { exports } = await original.instantiate(module, imports)
      return { exports: repeatStart(imports, exports, decodeStart(earlier)) }
    }
    recorder = recordStart(imports)
    const { exports } = await original.instantiate(module, recorder.imports)
    return { exports: recorder.wrapExports(exports) }
  }

  async function instantiate(
    compiling: Promise<WebAssembly.Module>,
    imports: WebAssembly.Imports = {},
  ): Promise<WebAssembly.WebAssemblyInstantiatedSource> {
    const module = await compiling
    // Another part of the worker may load WebAssembly meanwhile.
    const isWatched = record !== undefined && isOnnxRuntime(module)
    const instance = await (isWatched ? createInstance : original.instantiate)(module, imports)
    return { module, instance }
  }

  async function compile(source: Response | PromiseLike<Response>): Promise<WebAssembly.Module> {
    const response = await source
    const module = await WebAssembly.compileStreaming(response)
    await verify(response)
    return module
  }

  // Calls with options are not ONNX Runtime's.
  Object.assign(WebAssembly, {
    instantiate: (
      source: BufferSource | WebAssembly.Module,
      imports?: WebAssembly.Imports,
      ...options: unknown[]
    ) =>
      source instanceof WebAssembly.Module || options.length > 0
        ? Reflect.apply(original.instantiate, WebAssembly, [source, imports, ...options])
        : instantiate(WebAssembly.compile(source), imports),
    instantiateStreaming: (
      source: Response | PromiseLike<Response>,
      imports?: WebAssembly.Imports,
      ...options: unknown[]
    ) =>
      options.length > 0
        ? Reflect.apply(original.instantiateStreaming, WebAssembly, [source, imports, ...options])
        : instantiate(compile(source), imports),
  })
  return {
    /** Stores what was recorded. */
    keepStart() {
      const recorded = recorder?.takeRecord()
      if (record && recorded) void writeRuntimeRecord(record, encodeStart(recorded))
    },
    /** Removes a record that was used, and may not work: the next load starts without one. */
    async forgetStart(): Promise<void> {
      if (record && isRepeated) await removeRuntimeRecord(record).catch(() => {})
    },
    end() {
      Object.assign(WebAssembly, original)
    },
  }
}

/**
 * Answers ONNX Runtime's requests for its WebAssembly with the result of `fetchFile`. Only ONNX Runtime's own script knows the
 * address of the file, which a bundler may have renamed. So this function replaces `fetch` until ONNX Runtime has started.
 * @param address the address of the file, if the app has set it
 */
function interceptWasm(
  givenAddress: string | undefined,
  fetchFile: (url: string) => Promise<RuntimeContent>,
): {
  readonly failure: unknown
  /** Settles when the body of an answer is verified. */
  verify(response: Response): Promise<void>
  end(): void
} {
  const { fetch } = self
  let address = givenAddress
  let failure: unknown
  const verifications = new WeakMap<Response, Promise<void>>()
  const answerWith = (answer: (url: string) => Promise<Response>) => {
    self.fetch = (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input, self.location.href)
      const isWasm = address === undefined ? url.pathname.endsWith('.wasm') : url.href === address
      return isWasm ? answer(url.href) : fetch(input, init)
    }
  }
  answerWith(async (url) => {
    // `fetchFile` itself requests this address.
    self.fetch = fetch
    address = url
    try {
      const { blob, cached } = await fetchFile(url)
      const answer = async () => new Response(blob, { headers: { 'content-type': 'application/wasm' } })
      // ONNX Runtime requests the file again if the browser cannot compile it while it arrives, or if it is not the right one.
      answerWith(answer)
      if (!cached) return await answer()
      verifications.set(cached.response, cached.verified)
      return cached.response
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
    verify: async (response) => verifications.get(response),
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
