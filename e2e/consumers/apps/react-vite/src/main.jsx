import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { StoryChat } from './story-chat'

createRoot(document.querySelector('#app')).render(
  <StrictMode>
    <StoryChat model="./models/stories/" />
  </StrictMode>,
)
