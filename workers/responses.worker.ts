import { exposeMethods } from './expose.js'
import { createHost } from './host.js'
import { createResponsesBackend } from './remote/responses/responses-backend.js'

exposeMethods(createHost(createResponsesBackend()), globalThis)
