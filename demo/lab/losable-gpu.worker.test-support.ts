// A worker of the lab with a GPU device and no model.
import { beBreakable } from './be-breakable.js'

/** This folder's types are a page's. */
const page = self as unknown as MessagePort

beBreakable()
const adapter = await navigator.gpu.requestAdapter()
const device = await adapter!.requestDevice()
page.postMessage('device there', [])
page.postMessage((await device.lost).reason, [])
