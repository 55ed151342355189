import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { JsonSchema } from '../../lib/contract/request.js'
import { RivuletError } from '../../lib/contract/errors.js'
import { compileSchema } from '../text/grammar/compile-schema.test-support.js'
import { openNodeModel, type NodeModel } from './open-node-model.test-support.js'

/** JSONSchemaBench's sample, beside the repository. */
const path = join(import.meta.dirname, '../../../shared/data/json-schemas/schemas.json')
const isSoak = Number(process.env.RIVULET_SOAK ?? 1) > 1
const seeds = isSoak ? [1, 2, 3, 4, 5] : [1]
const maxTokens = isSoak ? 300 : 120

interface NamedSchema {
  readonly name: string
  readonly schema: JsonSchema
}

function readSchemas(): readonly NamedSchema[] {
  const all = JSON.parse(readFileSync(path, 'utf8')) as readonly NamedSchema[]
  return isSoak ? all : all.filter((_, index) => index % 20 === 0)
}

// The schemas are not part of the repository.
describe.skipIf(!existsSync(path))('200 real JSON schemas', () => {
  let model: NodeModel
  beforeAll(async () => {
    model = await openNodeModel('demo/public/models/stories')
  }, 60_000)

  test(
    'every answer that ends by itself is valid, and a refusal names the option before any work',
    { timeout: 3_600_000 },
    async () => {
      const refused: string[] = []
      let ended = 0
      const schemas = readSchemas()
      for (const { name, schema } of schemas) {
        const validate = compileSchema(schema)
        for (const seed of seeds) {
          const answer = await model
            .answer('Once upon a time', {
              responseFormat: { kind: 'json-schema', schema },
              temperature: 1.5,
              maxTokens,
              seed,
            })
            .catch((error: unknown) => {
              if (!(error instanceof RivuletError) || error.code !== 'invalid-option') throw error
              expect(error.message).toMatch(/^"responseFormat" cannot be held\. .*JSON schema/)
              return undefined
            })
          if (!answer) {
            refused.push(name)
            break
          }
          if (answer.end === 'length') continue
          ended += 1
          expect(validate(JSON.parse(answer.text)), `${name}, seed ${seed}: ${answer.text}`).toBe(true)
        }
      }
      // oxlint-disable-next-line no-console -- the figures of a soak
      console.info(`${ended} answers ended by themselves. Refused: ${refused.join(', ') || 'none'}.`)
      expect(ended).toBeGreaterThan(schemas.length / 4)
      expect(refused.length).toBeLessThanOrEqual(schemas.length * 0.05)
    },
  )
})
