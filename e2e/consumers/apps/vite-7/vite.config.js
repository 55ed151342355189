import { defineConfig } from 'vite'

export default defineConfig({
  // The worker loads ONNX Runtime's build for its device on demand, which requires an ES module.
  worker: { format: 'es' },
  // Otherwise Vite 7's development server moves the modules away from the files beside them.
  optimizeDeps: { exclude: ['rivulet', 'onnxruntime-web'] },
})
