// A lab worker with a GPU device but without a model.
import { acceptFaults } from './accept-faults.js'

/** This folder is compiled with the types of a page. */
const page = self as unknown as MessagePort

acceptFaults()
const adapter = await navigator.gpu.requestAdapter()
const device = await adapter!.requestDevice()
page.postMessage('device created', [])
page.postMessage((await device.lost).reason, [])
