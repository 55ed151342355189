import { exposeMethods } from './expose.js'
import { createHost } from './host.js'
import { createOnnxBackend } from './onnx/onnx-backend.js'

exposeMethods(createHost(createOnnxBackend()), globalThis)
