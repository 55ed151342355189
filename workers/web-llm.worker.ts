import { exposeMethods } from './expose.js'
import { createHost } from './host.js'
import { createWebLlmBackend } from './web-llm/web-llm-backend.js'

exposeMethods(createHost(createWebLlmBackend()), globalThis)
