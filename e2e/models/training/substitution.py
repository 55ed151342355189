"""Replaces a character or object of a story, so that the model learns to take the subject from the request.

Of the 12,743 stories of the corpus, 64 contain a dragon, 41 a robot and 3 a wizard: too few to learn each subject
separately. A substitution replaces all mentions of a subject by another subject of the same kind.
"""

import random
import re

from words import article, mentions, plural

# Subjects by kind. A subject is only replaced by another of the same kind.
_ANIMALS = (
    "cat dog bird rabbit bunny bear fox lion frog mouse duck monkey fish elephant pig horse sheep turtle squirrel owl"
    " puppy kitten butterfly bee cow ant spider wolf goat snake crab chicken tiger giraffe penguin worm whale dolphin bug"
).split()
_OTHER_CHARACTERS = (
    "dragon robot pirate wizard unicorn dinosaur witch mermaid knight fairy monster alien giant ghost princess prince king"
    " queen clown astronaut superhero elf troll dwarf ninja cowboy farmer baker doctor teacher sailor fisherman chef nurse"
    " fireman policeman painter singer dancer detective explorer magician gardener painter pony donkey zebra hippo"
    " kangaroo koala panda crocodile octopus shark seal snail hedgehog hamster parrot swan deer bat raccoon beaver otter"
    " lizard ladybug dragonfly caterpillar peacock eagle rooster hen goose lamb calf camel rhino gorilla starfish jellyfish"
    " toad mole cricket scarecrow snowman angel goblin phoenix beetle firefly crow pigeon turkey llama moose walrus leopard"
    " lobster seahorse woodpecker hen skunk buffalo baby vampire mummy cyclops ogre genie gnome"
).split()
_GIRLS = "princess witch mermaid fairy queen nurse dancer ballerina singer astronaut pirate doctor teacher girl".split()
_BOYS = "prince wizard knight pirate king robot cowboy astronaut clown sailor farmer superhero fireman boy".split()
_THINGS_IN_CORPUS = (
    "ball toy kite boat car cake hat doll book box flower truck bike balloon apple stick rock key cookie dress bag drum"
    " train blanket crayon bell shell basket umbrella scarf plane cup spoon jar rope bottle candle ring coin hammer"
    " pumpkin lemon banana carrot sandwich pizza shirt coat chair leaf stone feather button puzzle camera crown sword"
).split()
_MORE_THINGS = (
    "rocket guitar castle map computer treasure star moon lamp clock telescope spaceship tractor bus helicopter"
    " submarine motorcycle skateboard scooter sled bicycle wagon violin piano flute trumpet whistle magnet mirror"
    " lantern flashlight teapot teddy snowball sandcastle mitten sock shoe boot backpack necklace diamond pearl gem"
    " mushroom strawberry cherry pear orange watermelon cupcake pancake donut muffin cheese egg pie lollipop ticket letter"
    " notebook pencil paintbrush painting statue trophy medal flag tent ladder broom bucket shovel wand cape mask costume"
    " igloo tunnel bridge lighthouse windmill fountain volcano rainbow cloud snowflake seed acorn pinecone nest"
    " trampoline swing slide robot telephone television radio carousel yo-yo marble dice card spinner"
).split()
_PLACES = {"moon", "rainbow", "castle", "volcano", "tunnel", "bridge", "lighthouse", "windmill", "fountain", "igloo"}

_NAMES = (
    "Lily Tom Max Ben Anna Sara Mia Leo Zoe Finn Emma Noah Ella Oscar Ruby Milo Nina Felix Luna Hugo Ivy Otto Clara Theo"
    " Maya Kai Rosa Jasper Alice Henry Poppy Arthur Nora Toby Sophie Lucas Freya Oliver Hannah Simon Bella Rex Coco Pip"
    " Ziggy Daisy Rusty Pepper Sunny Bruno Nemo Dotty Fluffy Rocky Ginger Zara Omar Priya Chen Diego Yuki Amir Greta Pablo"
).split()

_CHARACTERS = tuple(dict.fromkeys(_ANIMALS + _OTHER_CHARACTERS))
# Subjects that users often request and that are rare in the corpus. They are chosen more often.
_FAVOURITES = "dragon robot pirate wizard unicorn dinosaur witch mermaid knight monster alien astronaut".split()
_THINGS = tuple(dict.fromkeys(_THINGS_IN_CORPUS + [thing for thing in _MORE_THINGS if thing not in _PLACES]))


def replacement(subject: str, story: str, rng: random.Random) -> str | None:
    """Returns a random subject of the same kind.

    Returns None if the subject has no kind, or if the story already contains the chosen subject.
    """
    if subject in _CHARACTERS:
        candidates = _FAVOURITES if rng.random() < 0.3 else _CHARACTERS
    elif subject == "girl":
        candidates = _GIRLS
    elif subject == "boy":
        candidates = _BOYS
    elif subject in _THINGS:
        candidates = _THINGS
    else:
        return None
    chosen = rng.choice(candidates)
    return None if chosen == subject or mentions(chosen).search(story) else chosen


def are_exchangeable(one: str, other: str) -> bool:
    """Returns whether both subjects are of the same kind."""
    return any(one in kind and other in kind for kind in (_CHARACTERS, _THINGS, _GIRLS, _BOYS))


def substitute(story: str, old: str, new: str) -> str:
    """Returns the story with a noun replaced, in singular and plural. Keeps capital letters and adjusts a / an."""

    def noun(match: re.Match[str]) -> str:
        found = match.group()
        word = plural(new) if found.lower() == plural(old) and plural(old) != old else new
        return word[0].upper() + word[1:] if found[0].isupper() else word

    def with_article(match: re.Match[str]) -> str:
        right = article(match.group(2))
        return (right.capitalize() if match.group(1)[0].isupper() else right) + " " + match.group(2)

    changed = mentions(old).sub(noun, story)
    return re.sub(rf"\b([Aa]n?) ({re.escape(new)})\b", with_article, changed)


def rename(story: str, name: str, rng: random.Random) -> str:
    """Returns the story with a name replaced by a random name, or unchanged if it already contains the random name."""
    new = rng.choice(_NAMES)
    return story if new in story else re.sub(rf"\b{re.escape(name)}\b", new, story)
