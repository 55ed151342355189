import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [vue()],
  build: { lib: { entry: 'src/main.js', formats: ['es'], fileName: 'main' } },
})
