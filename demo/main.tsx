import { render } from 'preact'
import { App } from './app/app.js'
import { openPage } from './app/page.js'
import { installServiceWorker } from './offline.js'
import { installTheme } from './app/theme.js'
import './style.css'
import './chat/chat.css'
import './panels.css'
import './figures/figures.css'
import './settings/settings.css'
import './conversations/conversations.css'

const theme = installTheme()
const page = await openPage()
// While the chat is empty, a reload loses nothing.
void installServiceWorker(() => page.session.thread.peek().turns.peek().length === 0)
render(<App page={page} theme={theme} />, document.getElementById('app')!)
