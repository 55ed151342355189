// Stands in for a browser without JSPI, and without 64-bit memories if the worker's name says so.

import { withoutJspi, withoutMemory64 } from './old-browser.js'

function removeJspi(): void {
  Reflect.deleteProperty(WebAssembly, 'Suspending')
  Reflect.deleteProperty(WebAssembly, 'promising')
}

function removeMemory64(): void {
  const { Memory } = WebAssembly
  WebAssembly.Memory = new Proxy(Memory, {
    construct(target, [descriptor]: [WebAssembly.MemoryDescriptor & { readonly address?: string }]) {
      if (descriptor.address === 'i64') throw new TypeError('unknown address type')
      return new target(descriptor)
    },
  })
}

if (self.name.includes(withoutMemory64)) removeMemory64()
if (self.name.includes(withoutJspi)) {
  removeJspi()
  // wllama starts a worker of its own, from a script that it writes.
  const { Blob: PlainBlob } = self
  self.Blob = class extends PlainBlob {
    constructor(parts: BlobPart[] = [], options?: BlobPropertyBag) {
      const isScript = options?.type === 'text/javascript'
      super(isScript ? [`(${removeJspi})();\n`, ...parts] : parts, options)
    }
  }
}
