// The library's own worker, in a file of the tests, so that they can terminate it. It stands in for a browser without JSPI or
// without 64-bit memories, if its name says so.
import 'rivulet/llama-cpp.worker'
import { jspiChannel, withoutJspi, withoutMemory64 } from './old-browser.js'

function removeJspi(): void {
  Reflect.deleteProperty(WebAssembly, 'Suspending')
  Reflect.deleteProperty(WebAssembly, 'promising')
}

if (self.name.includes(withoutJspi)) {
  removeJspi()
  // wllama starts a worker of its own, from a script that it writes.
  const { Blob: PlainBlob } = self
  const report = `new BroadcastChannel('${jspiChannel}').postMessage('Suspending' in WebAssembly);\n`
  self.Blob = class extends PlainBlob {
    constructor(parts: BlobPart[] = [], options?: BlobPropertyBag) {
      const isScript = options?.type === 'text/javascript'
      super(isScript ? [`(${removeJspi})();\n${report}`, ...parts] : parts, options)
    }
  }
}

if (self.name.includes(withoutMemory64)) {
  const { Memory } = WebAssembly
  WebAssembly.Memory = new Proxy(Memory, {
    construct(target, [descriptor]: [WebAssembly.MemoryDescriptor & { readonly address?: string }]) {
      if (descriptor.address === 'i64') throw new TypeError('unknown address type')
      return new target(descriptor)
    },
  })
}
