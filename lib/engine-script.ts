import { loadModel } from './load-model.js'
import { createLoadedEngine } from './loaded-engine.js'
import { observeFailedLoad } from './observer.js'

/** All that talks to workers: a script of its own, which comes while the browser is asked for its devices. */
export const engineScript = { createLoadedEngine, loadModel, observeFailedLoad }
