import { exposeMethods } from './expose.js'
import { createHost } from './host.js'
import { createRemoteBackend } from './remote/remote-backend.js'

exposeMethods(createHost(createRemoteBackend()), globalThis)
