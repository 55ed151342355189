// webLlm()'s worker over the scripted engine: web-llm's compiled model libraries cannot be had here.
import type { Endpoint } from 'comlink'
import { exposeMethods } from '../../dist/workers/expose.js'
import { createHost } from '../../dist/workers/host.js'
import { createWebLlmBackend } from '../../dist/workers/web-llm/web-llm-backend.js'
import { createScriptedRuntime } from '../../workers/web-llm/scripted-engine.test-support.js'

exposeMethods(
  createHost(createWebLlmBackend(() => Promise.resolve(createScriptedRuntime()))),
  // This folder's types are a page's.
  self as unknown as Endpoint,
)
