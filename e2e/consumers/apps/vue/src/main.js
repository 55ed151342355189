import { createApp } from 'vue'
import { createEngine } from 'rivulet'
import { onnx } from 'rivulet/onnx'
// The test writes this component from the guide.
import Chat from './chat.vue'

const engine = await createEngine({ backend: onnx(), model: './models/stories/' })
const app = createApp(Chat, { engine })
app.mount('#app')
window.hide = () => app.unmount()
