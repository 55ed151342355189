import { onnx } from 'rivulet/onnx'
import { streamStory } from './stream-story.js'

// A page can only start workers from its own origin, and import maps do not apply to them: this one imports the CDN's.
const script = new Blob(["import 'https://esm.sh/rivulet@0.1.0/onnx.worker'"], { type: 'text/javascript' })
const worker = () => new Worker(URL.createObjectURL(script), { type: 'module' })
const wasmPaths = 'https://cdn.jsdelivr.net/npm/onnxruntime-web@1.30.0/dist/'

void streamStory((device) => onnx({ device, worker, wasmPaths }))
