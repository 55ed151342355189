import { exposeMethods } from './expose.js'
import { createHost } from './host.js'
import { createOnnxBackend } from './onnx/onnx-backend.js'
import { loadXgrammar } from './text/grammar/load-xgrammar.js'

exposeMethods(createHost(createOnnxBackend(loadXgrammar)), globalThis)
