"""Phrases requests for a story in the many ways that users do."""

import random

_FRAMES = (
    ["Tell me a story about {}."] * 6
    + ["Write a story about {}."] * 2
    + ["Can you tell me a story about {}?", "A story about {}, please.", "I want a story about {}."] * 2
    + [
        "Tell me a story about {}",
        "tell me a story about {}",
        "write a story about {}",
        "a story about {}",
        "story about {}",
        "Please tell me a story about {}.",
        "Please write a story about {}.",
        "Could you tell me a story about {}?",
        "Can you write a story about {}?",
        "Could you write a short story about {}?",
        "Write a short story about {}.",
        "Write me a story about {}.",
        "Tell a story about {}.",
        "Tell me a short story about {}.",
        "Tell us a story about {}.",
        "Tell me about {}.",
        "Tell me a tale about {}.",
        "Make up a story about {}.",
        "I want a story with {}.",
        "I want to hear a story about {}.",
        "I want to hear about {}.",
        "I would like a story about {}.",
        "I'd like to hear a story about {}, please.",
        "Do you know a story about {}?",
        "Give me a story about {}.",
        "A bedtime story about {}, please.",
        "Tell me a bedtime story about {}.",
        "How about a story with {}?",
        "Once more: a story about {}.",
        "Hello! Tell me a story about {}.",
        "Hi! Can you tell me a story about {}?",
        "My child loves stories. Write one about {}.",
        "Something about {}.",
        "{}",
        "{}.",
        "{}, please.",
    ]
)
_FOLLOW_UPS = (
    ["Now one about {}."] * 4
    + [
        "Now tell me one about {}.",
        "And one about {}?",
        "And now a story about {}.",
        "Another one, about {}.",
        "Another story, this time about {}.",
        "Can you tell me one about {} now?",
        "Thank you! Now one about {}, please.",
        "Tell me another one about {}.",
        "Next, a story about {}.",
        "Nice! Now a story about {}.",
        "What about {}?",
        "now one about {}",
        "one about {}",
    ]
)
_MORE_OF_IT = ["Another one about {}.", "Another story about {}, please.", "One more about {}.", "More about {}!"]
_PLAIN = (
    ["Tell me a story."] * 5
    + ["Hello!", "Hi!"] * 2
    + ["Hi", "Hello", "hello", "Hey!", "Hello there!", "Good morning!", "How are you?", "Who are you?"]
    + ["Write a story.", "Tell me a story", "tell me a story", "A story, please.", "Can you tell me a story?"]
    + ["Tell me a bedtime story.", "I want a story.", "Please tell me a story.", "What can you do?"]
)
_AGAIN = (
    ["Another one."] * 3
    + ["Tell me another story."] * 2
    + ["Another one, please.", "Another story, please.", "One more.", "One more, please!", "Again!", "More!", "another one"]
    + ["Thank you! Another one?", "Tell me another one.", "And another?"]
)


def first_request(subject: str | None, rng: random.Random) -> str:
    """Returns the first request of a conversation. If the subject is None: a greeting, or a request for any story."""
    return rng.choice(_PLAIN if subject is None else _FRAMES).format(subject)


def next_request(subject: str | None, is_same: bool, rng: random.Random) -> str:
    """Returns a later request of a conversation. If the subject is None: a request for another story."""
    if subject is None:
        return rng.choice(_AGAIN)
    if is_same:
        return rng.choice(_MORE_OF_IT).format(subject)
    return rng.choice(_FOLLOW_UPS if rng.random() < 0.75 else _FRAMES).format(subject)
