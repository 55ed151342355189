import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { RivuletError } from '../../lib/contract/errors.js'
import { chatRequest } from '../request.test-support.js'
import type { ModelFolder } from '../store/model-folder.js'
import { openBytes } from '../store/readable-file.js'
import { encodePrompt } from '../text/prompt.js'
import { expandWeights } from './expand-weights.js'
import { readModelConfig } from './model-config.js'
import { readModelWeights } from './model-weights.js'
import { createRandom, mutateBytes, mutateJson, pick, type Random } from './mutate.test-support.js'
import { ModelProtoSchema, StringStringEntryProtoSchema, TensorProto_DataLocation } from './onnx_pb.js'
import { readPrefillRules } from './prefill-rules.js'
import { rewriteGraph } from './rewrite-graph.js'

/*
 * Damaged and hostile files of the embedded model, before they reach ONNX Runtime (e2e/hostile-files.spec.ts covers the
 * rest). Each one is used or refused with a RivuletError. `RIVULET_SOAK=34` tries 20,000.
 */

const root = new URL('../../demo/public/models/stories/', import.meta.url)
const jsonFiles = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json']
const graphFile = 'onnx/model_quantized.onnx'
const files = new Map([...jsonFiles, graphFile].map((path) => [path, readFileSync(new URL(path, root))]))
const rounds = 60 * Number(process.env.RIVULET_SOAK ?? 1)

/** Opens the embedded model as a folder in memory, with some files replaced. */
function openFolder(replaced: Readonly<Record<string, Uint8Array>>): ModelFolder {
  const readBytes = (path: string) => {
    const bytes = replaced[path] ?? files.get(path)
    return Promise.resolve(bytes && Uint8Array.from(bytes))
  }
  const readText = async (path: string) => {
    const bytes = await readBytes(path)
    return bytes && new TextDecoder().decode(bytes)
  }
  return {
    url: root.href,
    has: (path) => Promise.resolve(path in replaced || files.has(path)),
    openFile: async (path) => {
      const bytes = await readBytes(path)
      return bytes && openBytes(bytes)
    },
    readText,
    async readJson(path) {
      const text = await readText(path)
      return text === undefined ? undefined : parseLikeFolder(text)
    },
  }
}

function parseLikeFolder(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new RivuletError('model-invalid', 'not JSON', { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RivuletError('model-invalid', 'not an object')
  return value as Record<string, unknown>
}

/** Does everything that happens with a model's files before ONNX Runtime gets them. */
async function useFiles(replaced: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const folder = openFolder(replaced)
  try {
    const config = await readModelConfig(folder)
    await encodePrompt(config, chatRequest('Tell me a story about a dragon. <|end|>'))
    config.tokenizer.decode([1, 5, 9, 2047])
    const weights = await readModelWeights(folder, { dtypes: ['q8'], unsupported: [] }, () => {})
    rewriteGraph(weights.model, {
      device: 'wasm',
      ...config,
      rotarySwitch: readPrefillRules(weights.model).rotarySwitch,
    })
    expandWeights(fromBinary(ModelProtoSchema, weights.graph), weights.externalData)
    return 'used'
  } catch (error) {
    if (error instanceof RivuletError) return error.code
    throw error
  }
}

async function tryFiles(
  damage: (random: Random) => Readonly<Record<string, Uint8Array>>,
): Promise<Set<string>> {
  const outcomes = new Set<string>()
  for (let seed = 1; seed <= rounds; seed += 1) {
    const outcome = await useFiles(damage(createRandom(seed))).catch((error: unknown) => {
      throw new Error(`seed ${seed}`, { cause: error })
    })
    outcomes.add(outcome)
  }
  return outcomes
}

const encode = (text: string) => new TextEncoder().encode(text)

describe('files are used or refused with an error code', { timeout: 1_800_000 }, () => {
  it('undamaged files are used', async () => {
    expect(await useFiles({})).toBe('used')
  })

  it.each(jsonFiles)('%s with absurd values', async (path) => {
    const text = files.get(path)!.toString('utf8')
    const outcomes = await tryFiles((random) => ({ [path]: encode(mutateJson(text, random)) }))
    expect(outcomes).toContain('used')
  })

  it.each(jsonFiles)('%s with damaged bytes', async (path) => {
    const outcomes = await tryFiles((random) => ({ [path]: mutateBytes(files.get(path)!, random) }))
    expect(outcomes).toContain('model-invalid')
  })

  it('a graph with damaged bytes', async () => {
    // Most of the file is weights. Damage there only changes the generated text.
    const outcomes = await tryFiles((random) => ({
      [graphFile]: mutateBytes(files.get(graphFile)!, random, 60_000),
    }))
    expect(outcomes).toContain('model-invalid')
  })

  it('a graph with absurd tensors', async () => {
    const outcomes = await tryFiles((random) => ({ [graphFile]: mutateGraph(random) }))
    expect(outcomes).toContain('model-invalid')
  })
})

function mutateGraph(random: Random): Uint8Array {
  const model = fromBinary(ModelProtoSchema, Uint8Array.from(files.get(graphFile)!))
  const { initializer, node } = model.graph!
  const tensor = pick(initializer, random)
  const ways = [
    () => (tensor.dims = [pick([-1n, 0n, 2n ** 62n, 2n ** 31n], random)]),
    () => (tensor.dims = Array.from({ length: 1000 }, () => 2n ** 40n)),
    () => (tensor.dataType = pick([0, 99, -5, 8], random)),
    () => (tensor.rawData = tensor.rawData.subarray(0, 3)),
    () => (tensor.name = pick(initializer, random).name),
    () => {
      const location = pick(
        ['../x', '/etc/passwd', 'a/b', '', '..', 'https://example.com/x', 'unlisted'],
        random,
      )
      const offset = pick(['-1', '1e99', 'NaN', '9007199254740993', ''], random)
      tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
      tensor.externalData = Object.entries({ location, offset, length: offset }).map(([key, value]) =>
        create(StringStringEntryProtoSchema, { key, value }),
      )
    },
    () => (pick(node, random).input = []),
    () => (pick(node, random).opType = pick(['', 'MatMulNBits', 'Loop', 'GroupQueryAttention'], random)),
    () => pick(node, random).output.push(pick(node, random).input[0] ?? ''),
    () => (model.graph!.output = []),
  ]
  pick(ways, random)()
  return toBinary(ModelProtoSchema, model)
}
