import { mount, unmount } from 'svelte'
import { createEngine } from 'rivulet'
import { onnx } from 'rivulet/onnx'
// The test writes this component from the guide.
import Chat from './chat.svelte'

const engine = await createEngine({ backend: onnx(), model: './models/stories/' })
const chat = mount(Chat, { target: document.querySelector('#app'), props: { engine } })
window.hide = () => unmount(chat)
