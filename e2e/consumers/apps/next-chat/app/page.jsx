// The test writes this component from the guide.
import { StoryChat } from './story-chat'

export default function Page() {
  return <StoryChat model="/models/stories/" />
}
