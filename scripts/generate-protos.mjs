// npm run generate:protos: writes the code for the messages of each .proto file, beside the file.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The folders with a .proto file. */
export const protoFolders = ['workers/onnx', 'workers/remote/grpc-web']

/**
 * Writes the code for the .proto files of a folder with buf and protoc-gen-es, which need no network.
 * @param {string} folder
 * @param {string} output the folder to write to
 */
export function generateProtos(folder, output) {
  const plugin = { local: join(root, 'node_modules/.bin/protoc-gen-es'), out: output, opt: ['target=ts'] }
  const template = JSON.stringify({ version: 'v2', plugins: [plugin] })
  const program = join(root, 'node_modules/.bin/buf')
  const { status, stderr, error } = spawnSync(program, ['generate', folder, '--template', template], {
    cwd: root,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`buf generate ${folder} failed: ${error?.message ?? stderr}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const folder of protoFolders) generateProtos(folder, join(root, folder))
}
