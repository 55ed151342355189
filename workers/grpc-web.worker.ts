import { exposeMethods } from './expose.js'
import { createHost } from './host.js'
import { createGrpcWebBackend } from './remote/grpc-web/grpc-web-backend.js'

exposeMethods(createHost(createGrpcWebBackend()), globalThis)
