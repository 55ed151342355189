import { exposeMethods } from './expose.js'
import { createHost } from './host.js'
import { createLlamaCppBackend } from './llama-cpp/llama-cpp-backend.js'

exposeMethods(createHost(createLlamaCppBackend()), globalThis)
