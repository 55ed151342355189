import { defineConfig } from 'vite'

export default defineConfig({
  // The worker loads ONNX Runtime's build for its device on demand, which only ES modules can.
  worker: { format: 'es' },
  // Vite 7's development server would move the modules away from the files that lie beside them.
  optimizeDeps: { exclude: ['rivulet', 'onnxruntime-web'] },
})
